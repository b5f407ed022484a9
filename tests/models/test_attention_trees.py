"""Attention in rows of trees: each node gives what the branch that leads to it gives alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bactrian.models.attention import cuda, sdpa, trees, trees_cuda, ways  # noqa: E402
from bactrian.models.attention.families import slopes  # noqa: E402
from bactrian.models.attention.scores import Scores  # noqa: E402
from bactrian.models.attention.state import Attention  # noqa: E402
from bactrian.models.attention.trees import Trees  # noqa: E402

HEADS = 4
PARENTS = (
    (-1, 0, 1, 2, 3, 4, 3, 6, 7, 3, 0, 10, 11, 12, 11),
    (-1, 0, 1, 2),
    (-1,),
    (-1, *range(40), 30, 41, 42, 20, 44, 0),
)
"""The node before each; -1 begins a tree."""
SCORES: dict[str, dict[str, Any]] = {
    "plain": {},
    "window": {"window": 5},
    "wide window": {"window": 100},
    "cap": {"cap": 2.0},
    "cap and window": {"cap": 2.0, "window": 5},
    "ALiBi": {"slopes": slopes(HEADS)},
}


def branch(parents: tuple[int, ...], node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(node)
        node = parents[node]
    return path[::-1]


def row() -> Trees:
    depths, ends, start = [], [], 0
    for parents in PARENTS:
        depths += [len(branch(parents, node)) - 1 for node in range(len(parents))]
        below = [
            max(other for other in range(len(parents)) if node in branch(parents, other))
            for node in range(len(parents))
        ]
        ends += [start + end for end in below]
        start += len(parents)
    return Trees([len(parents) for parents in PARENTS], depths, ends)


def states(key_heads: int, kind: Any = torch.float32) -> tuple[Any, Any, Any]:
    maker = torch.Generator().manual_seed(3)
    length = sum(map(len, PARENTS))
    shapes = [(1, heads, length, 16) for heads in (HEADS, key_heads, key_heads)]
    query, key, value = (torch.randn(shape, generator=maker).to(kind) for shape in shapes)
    return query, key, value


def alone(given: tuple[Any, Any, Any], scores: Scores) -> Any:
    """Return [1, length, heads, width], each node computed with its own branch only."""
    found, start = [], 0
    for parents in PARENTS:
        for node in range(len(parents)):
            at = torch.tensor([start + place for place in branch(parents, node)])
            query, key, value = (state[:, :, at] for state in given)
            found.append(sdpa.attend(query, key, value, scores, None)[:, -1:])
        start += len(parents)
    return torch.cat(found, 1)


@pytest.mark.parametrize("key_heads", [HEADS, 2])
@pytest.mark.parametrize("name", SCORES)
def test_a_node_sees_its_own_branch(name: str, key_heads: int) -> None:
    scores, given = Scores(0.4, **SCORES[name]), states(key_heads)
    assert torch.allclose(trees.attend(*given, scores, row()), alone(given, scores), atol=1e-5)


@pytest.mark.parametrize("name", ["ALiBi", "cap"])
def test_large_trees_go_some_heads_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "AT_ONCE", 2500)
    monkeypatch.setattr(trees, "KEPT", 0)
    scores, given = Scores(0.4, **SCORES[name]), states(HEADS)
    assert torch.allclose(trees.attend(*given, scores, row()), alone(given, scores), atol=1e-5)


@pytest.mark.parametrize("key_heads", [HEADS, 2])
@pytest.mark.parametrize("name", SCORES)
def test_flex_attention_computes_the_same(
    name: str, key_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    monkeypatch.setattr(cuda, "_compiled_flex", lambda: flex.flex_attention)
    monkeypatch.setattr(flex, "_warn_once", lambda *told, **more: None, raising=False)
    scores, given = Scores(0.4, **SCORES[name]), states(key_heads)
    assert torch.allclose(trees_cuda.attend(*given, scores, row()), alone(given, scores), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", [trees, trees_cuda])
@pytest.mark.parametrize("name", SCORES)
def test_kernels_on_the_device(name: str, kernel: Any, kind: Any) -> None:
    scores, given = Scores(0.4, **SCORES[name]), states(2)
    query, key, value = (state.to("cuda", kind) for state in given)
    found = kernel.attend(query, key, value, scores, row()).float().cpu()
    told = alone(given, scores)
    assert (found - told).norm() < (0.02 if kind == torch.bfloat16 else 1e-3) * told.norm()


def test_layers_with_different_scores_do_not_share_a_mask() -> None:
    """Gemma 2 has windows in every other layer; kept biases must not be taken for one another."""
    told, given = row(), states(HEADS)
    for name in [*SCORES, *SCORES]:
        scores = Scores(0.4, **SCORES[name])
        assert torch.allclose(trees.attend(*given, scores, told), alone(given, scores), atol=1e-5)
    steeper = Scores(0.4, slopes=slopes(HEADS) * 3)
    assert torch.allclose(trees.attend(*given, steeper, told), alone(given, steeper), atol=1e-5)


def test_half_precision_keeps_far_ancestors_apart() -> None:
    scores = Scores(0.4, slopes=slopes(HEADS))
    given, coarse = states(HEADS), states(HEADS, torch.bfloat16)
    found = trees.attend(*coarse, scores, row())
    told = alone(given, scores)
    assert found.dtype == torch.bfloat16
    assert (found.float() - told).norm() < 0.02 * told.norm()


@pytest.mark.parametrize(
    ("sizes", "depths", "ends"),
    [
        ([], [], []),
        ([3], [0, 1], [1, 1]),
        ([2, 0], [0, 1], [1, 1]),
        ([2], [0, 2], [1, 1]),
        ([2], [0, 1], [1, 0]),
        ([1, 1], [0, 0], [1, 1]),
    ],
)
def test_what_is_no_row_of_trees_is_refused(
    sizes: list[int], depths: list[int], ends: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"tree|descendant"):
        Trees(sizes, depths, ends)


def test_training_kernels_never_see_a_tree() -> None:
    def refuse(*told: Any) -> Any:
        raise AssertionError("a training kernel was given a tree")

    attention = Attention((replace(ways.ALWAYS, attend=refuse),), fast=True)
    scores, given = Scores(0.4), states(HEADS)
    with attention.trees(row()):
        assert attention.packed
        assert torch.allclose(attention.attend(*given, scores), alone(given, scores), atol=1e-5)
        with pytest.raises(ValueError, match="make one row of"):
            query, key, value = (state[:, :, :9] for state in given)
            attention.attend(query, key, value, scores)
    assert not attention.packed
    with pytest.raises(AssertionError, match="a training kernel"):
        attention.attend(*given, scores)
