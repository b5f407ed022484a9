"""Our CPU kernel against float64, and against torch's kernel in half precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bactrian.models.attention import blocks, sdpa  # noqa: E402
from bactrian.models.attention.families import slopes  # noqa: E402
from bactrian.models.attention.scores import Documents, Scores  # noqa: E402
from bactrian.models.attention.tiles import Tiles, tiles  # noqa: E402

PACKED = (3, 40, 1, 130, 257, 41, 200)
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], bool]] = {
    # rows, length, heads, key heads, width; scores; packed
    "short": ((3, 40, 4, 4, 64), {}, False),
    "two blocks, grouped heads": ((2, 150, 9, 3, 64), {}, False),
    "length of no block": ((2, 131, 4, 2, 16), {}, False),
    "wide heads": ((1, 60, 4, 2, 128), {}, False),
    "window": ((2, 333, 4, 2, 16), {"window": 50}, False),
    "cap": ((2, 150, 4, 2, 32), {"cap": 5.0}, False),
    "cap and window": ((2, 150, 4, 2, 32), {"cap": 5.0, "window": 20}, False),
    "ALiBi": ((2, 300, 4, 4, 64), {"slopes": slopes(4)}, False),
    "ALiBi, six heads": ((2, 70, 6, 6, 80), {"slopes": slopes(6)}, False),
    "packed": ((1, sum(PACKED), 4, 2, 64), {}, True),
    "packed ALiBi": ((1, sum(PACKED), 4, 4, 64), {"slopes": slopes(4)}, True),
    "packed, cap, window": ((1, sum(PACKED), 4, 1, 64), {"cap": 9.0, "window": 30}, True),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plainly(query: Any, key: Any, value: Any, scores: Scores, documents: Documents | None) -> Any:
    """Every score, one document at a time, as the words say it."""
    group = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(group, 1) for states in (key, value))
    spans = [slice(None)] if documents is None else documents.spans
    found = []
    for at in spans:
        score = query[:, :, at] @ key[:, :, at].transpose(-1, -2) * scores.scale
        if scores.cap is not None:
            score = scores.cap * torch.tanh(score / scores.cap)
        place = torch.arange(score.shape[-1])
        if scores.slopes is not None:
            score = score + scores.slopes.to(score)[:, None, None] * place
        back = place[:, None] - place
        hidden = (back < 0) | (back >= (scores.window or len(place)))
        found.append(score.masked_fill(hidden, -torch.inf).softmax(-1) @ value[:, :, at])
    return torch.cat(found, 2).transpose(1, 2)


def run(attend: Callable[..., Any], given: Sequence[Any], kind: Any, *told: Any) -> list[Any]:
    """Return the result and the gradients of queries, keys and values."""
    *states, upstream = (tensor.to(kind) for tensor in given)
    leaves = [tensor.detach().requires_grad_() for tensor in states]
    mixed = attend(*leaves, *told)
    return [mixed.detach(), *torch.autograd.grad(mixed, leaves, upstream)]


def errors(found: Sequence[Any], right: Sequence[Any]) -> list[float]:
    return [
        float((mine.double() - theirs).norm() / theirs.norm())
        for mine, theirs in zip(found, right, strict=True)
    ]


def made(case: str, kind: Any, sharpness: float = 1.0) -> tuple[list[Any], Scores, Any]:
    (rows, length, heads, keys, width), told, packed = CASES[case]
    maker = torch.Generator().manual_seed(3)
    shapes = [(rows, length, number, width) for number in (heads, keys, keys, heads)]
    states = [torch.randn(shape, generator=maker).to(kind) for shape in shapes]
    query, key, value = (tensor.transpose(1, 2) for tensor in states[:3])
    scores = Scores(sharpness * width**-0.5, **told)
    return [query, key, value, states[3]], scores, Documents(PACKED) if packed else None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("kind", "limit"), [("float64", 1e-12), ("float32", 1e-5)])
def test_results_and_gradients_are_those_of_all_scores(case: str, kind: str, limit: float) -> None:
    given, *told = made(case, getattr(torch, kind), sharpness=2.0)
    right = run(plainly, given, torch.float64, *told)
    assert max(errors(run(blocks.attend, given, getattr(torch, kind), *told), right)) < limit


@pytest.mark.parametrize("case", CASES)
def test_half_precision_is_no_worse_than_torchs_kernel(case: str) -> None:
    given, scores, documents = made(case, torch.bfloat16)
    right = run(plainly, given, torch.float64, scores, documents)
    ours = errors(run(blocks.attend, given, torch.bfloat16, scores, documents), right)
    bare = Scores(scores.scale)  # with a mask or a cap torch computes in float32
    flat = run(plainly, given, torch.float64, bare, documents)
    theirs = errors(run(sdpa.attend, given, torch.bfloat16, bare, documents), flat)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine < 1.3 * other + 5e-4


def test_a_document_is_bit_for_bit_blind_to_its_neighbours() -> None:
    (query, key, value, _), _, documents = made("packed", torch.bfloat16)
    scores = Scores(0.125, slopes=slopes(4))
    before = blocks.attend(query, key, value, scores, documents)
    others = [states.clone() for states in (query, key, value)]
    for states in others:
        states[:, :, : sum(PACKED[:3])] = 1e4
    after = blocks.attend(*others, scores, documents)
    assert torch.equal(before[:, sum(PACKED[:3]) :], after[:, sum(PACKED[:3]) :])
    naive = blocks.attend(*others, scores, None)
    assert not torch.allclose(before[:, sum(PACKED[:3]) :], naive[:, sum(PACKED[:3]) :])


@pytest.mark.parametrize("case", ["short", "ALiBi", "packed, cap, window"])
def test_scores_of_any_size_give_numbers(case: str) -> None:
    given, scores, documents = made(case, torch.float32, sharpness=300.0)
    right = run(plainly, given, torch.float64, scores, documents)
    found = run(blocks.attend, given, torch.float32, scores, documents)
    assert errors(found[:1], right[:1])[0] < 1e-2  # the largest score is all that counts
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found)


def test_nothing_is_kept_that_grows_with_the_square_of_the_length() -> None:
    given, scores, _ = made("ALiBi", torch.bfloat16)
    query, key, value = (tensor.detach().requires_grad_() for tensor in given[:3])
    kept: list[int] = []

    def count(tensor: Any) -> Any:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        blocks.attend(query, key, value, scores, None)
    logs = query.shape[0] * query.shape[1] * query.shape[2] * 4
    assert sum(kept) == 4 * query.numel() * query.element_size() + logs


def test_the_setting_of_products_comes_back() -> None:
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    with pytest.raises(KeyError), blocks.products(torch.bfloat16):
        assert setting.fp32_precision == "bf16"
        raise KeyError
    assert setting.fp32_precision == before


@pytest.mark.parametrize("lengths", [(296,) * 5, (131,) * 3, PACKED, (1,), (768, 8, 8, 8)])
def test_every_token_has_one_place(lengths: tuple[int, ...]) -> None:
    rows = (len(lengths), lengths[0]) if len(set(lengths)) == 1 else Documents(lengths)
    found: Sequence[Tiles] = tiles(rows, 4, 2)
    total = sum(lengths)
    written = torch.cat([tile.into for tile in found])
    held = written[written < total]
    assert torch.equal(held.sort().values, torch.arange(total))
    for tile in found:
        assert (tile.into < total).sum() + len(tile.empty) == len(tile.into)
        assert tile.count * tile.size * tile.documents == len(tile.tokens)
        where = tile.into < total
        assert torch.equal(tile.tokens[where], tile.into[where])


def test_slopes_are_those_of_transformers() -> None:
    modeling = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    for heads in (1, 4, 6, 12, 14, 32, 112):
        theirs = modeling._get_alibi_slopes(heads, torch.device("cpu"))
        assert torch.allclose(slopes(heads), theirs, rtol=1e-6)
