"""Several adapters as one change: by hand on small matrices, and as PEFT where PEFT is right."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import merge_toys  # noqa: E402

from bactrian.errors import ConfigError  # noqa: E402
from bactrian.publish.merge import Mix, merged_weights, mix  # noqa: E402
from bactrian.publish.merge.changes import LowRank  # noqa: E402
from bactrian.publish.merge.mix import Mixed, Shared, check_shares, cut_product  # noqa: E402

TARGETS = ["q_proj", "v_proj"]


def low_rank(up: list[list[float]], down: list[list[float]], scale: float = 1.0) -> LowRank:
    left, right = torch.tensor(up), torch.tensor(down)
    return LowRank(lambda: left, lambda: right, scale, (left.shape[0], right.shape[1]))


ONE = low_rank([[1.0], [2.0]], [[3.0, -4.0]], scale=2.0)
"""[[6, -8], [12, -16]]"""
TWO = low_rank([[1.0, 0.0], [0.0, 1.0]], [[-1.0, 2.0], [3.0, 10.0]])
"""[[-1, 2], [3, 10]]; of another rank than the first."""


def mixed(how: Mix, *shares: float, weight: Any = None) -> Any:
    parts = tuple(Shared((one,), share) for one, share in zip((ONE, TWO), shares, strict=True))
    before = torch.zeros(2, 2) if weight is None else weight
    found = Mixed(parts, how, (2, 2), "a.weight").apply(before, torch.float32, torch.float32)
    return found - before


def test_linear_is_the_weighted_sum_of_products_of_different_ranks() -> None:
    found = mixed(Mix("linear"), 0.5, 2.0)
    assert found.tolist() == [[3 - 2, -4 + 4], [6 + 6, -8 + 20]]


def test_ties_trims_elects_and_averages() -> None:
    # half of each is kept: 12, -16 of the first and 3, 10 of the second; -16 + 10 elects minus
    found = mixed(Mix("ties", density=0.5), 1.0, 1.0)
    assert found.tolist() == [[0.0, 0.0], [7.5, -16.0]]


def test_ties_elects_with_the_shares() -> None:
    # with shares 1 and 3 the plus of 3 * 10 outweighs the minus of 16
    found = mixed(Mix("ties", density=0.5), 1.0, 3.0)
    assert found.tolist() == [[0.0, 0.0], [(12 + 9) / 2, 30.0]]


def test_dare_keeps_or_enlarges_and_repeats_itself() -> None:
    wide = low_rank([[1.0]] * 200, [[1.0] * 200])
    part = (Shared((wide,), 1.0),)

    def drawn(seed: int, key: str = "a") -> Any:
        made = Mixed(part, Mix("dare", density=0.25, seed=seed), (200, 200), key)
        return made.apply(torch.zeros(200, 200), torch.float32, torch.float32)

    first = drawn(1)
    assert set(first.unique().tolist()) == {0.0, 4.0}
    assert abs(float(first.mean()) - 1) < 0.05  # 40,000 draws: 5 standard deviations are 0.043
    assert torch.equal(first, drawn(1))
    assert not torch.equal(first, drawn(2))
    assert not torch.equal(first, drawn(1, "b"))


def test_adapters_are_dropped_from_independently() -> None:
    wide = low_rank([[1.0]] * 50, [[1.0] * 50])
    parts = (Shared((wide,), 1.0), Shared((wide,), -1.0))
    found = Mixed(parts, Mix("dare"), (50, 50), "a").apply(
        torch.zeros(50, 50), torch.float32, torch.float32
    )
    assert set(found.unique().tolist()) == {-2.0, 0.0, 2.0}


def test_svd_is_the_nearest_of_the_rank() -> None:
    total = mixed(Mix("linear"), 1.0, 1.0)
    found = mixed(Mix("svd", rank=1), 1.0, 1.0)
    left, values, right = torch.linalg.svd(total)
    torch.testing.assert_close(found, values[0] * left[:, :1] @ right[:1])
    assert torch.linalg.matrix_rank(found) == 1


def test_the_cut_of_a_product_is_that_of_the_matrix() -> None:
    left, right = torch.randn(40, 6), torch.randn(6, 30)
    one, other = cut_product(left, right, 3)
    u, values, v = torch.linalg.svd(left @ right)
    torch.testing.assert_close(one @ other, u[:, :3] * values[:3] @ v[:3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["linear", "svd", "ties"])
def test_blocks_change_nothing(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(2, 2)
    whole = mixed(Mix(method), 0.5, 2.0, weight=weight)
    monkeypatch.setattr(mix, "BLOCK", 2)
    assert torch.equal(mixed(Mix(method), 0.5, 2.0, weight=weight), whole)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"method": "tise"}, "unknown method tise"),
        ({"density": 0.0}, "density 0.0"),
        ({"density": float("nan")}, "density nan"),
        ({"rank": -1}, "rank -1"),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(told: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Mix(**told)


@pytest.mark.parametrize("share", [0.0, float("nan"), float("inf")])
def test_a_share_of_nothing_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="is no part of an adapter"):
        check_shares([1.0, share])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Path, Path, Path]:
    """A base and two adapters of one rank."""
    place = tmp_path_factory.mktemp("pair")
    return (
        tiny_base,
        merge_toys.adapter(place / "a", tiny_base, 1, target_modules=TARGETS),
        merge_toys.adapter(place / "b", tiny_base, 2, target_modules=TARGETS, lora_alpha=6),
    )


def by_peft(pair: tuple[Path, Path, Path], **told: Any) -> dict[str, Any]:
    """What PEFT makes of the two adapters, merged into the base."""
    base, a, b = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(merge_toys.load(base), a, adapter_name="a")
        model.load_adapter(b, adapter_name="b")
        model.add_weighted_adapter(["a", "b"], adapter_name="c", **told)
        model.set_adapter("c")
        found: dict[str, Any] = model.merge_and_unload().state_dict()
    return found


def farthest(pair: tuple[Path, Path, Path], how: Mix, shares: tuple[float, float],
             wanted: dict[str, Any]) -> float:  # fmt: skip
    weights = merged_weights(merge_toys.source(*pair[1:], shares=shares), how)
    return max(float((weights.get(name) - wanted[name]).abs().max()) for name in weights.shapes)


def test_linear_is_what_peft_gives_by_concatenation(pair: tuple[Path, Path, Path]) -> None:
    wanted = by_peft(pair, weights=[0.7, 0.4], combination_type="cat")
    assert farthest(pair, Mix("linear"), (0.7, 0.4), wanted) < 1e-5


def test_pefts_linear_adds_factors_and_is_another_thing(pair: tuple[Path, Path, Path]) -> None:
    wanted = by_peft(pair, weights=[0.7, 0.4], combination_type="linear")
    assert farthest(pair, Mix("linear"), (0.7, 0.4), wanted) > 0.1


def test_svd_is_pefts(pair: tuple[Path, Path, Path]) -> None:
    wanted = by_peft(pair, weights=[0.7, 0.4], combination_type="svd", svd_rank=3)
    assert farthest(pair, Mix("svd", rank=3), (0.7, 0.4), wanted) < 1e-4


def test_ties_is_pefts_on_products(pair: tuple[Path, Path, Path]) -> None:
    wanted = by_peft(
        pair, weights=[1.0, 1.0], combination_type="ties_svd", density=0.4, svd_rank=16
    )  # 16 is the whole rank of v_proj, so that its svd cuts nothing off
    weights = merged_weights(merge_toys.source(*pair[1:]), Mix("ties", density=0.4))
    name = "model.layers.0.self_attn.v_proj.weight"
    torch.testing.assert_close(weights.get(name), wanted[name], rtol=1e-4, atol=1e-4)


def test_ranks_may_differ(tiny_base: Path, tmp_path: Path) -> None:
    models = [
        merge_toys.adapted(tiny_base, 1, target_modules=TARGETS, r=2),
        merge_toys.adapted(tiny_base, 2, target_modules=TARGETS, r=5, use_rslora=True),
    ]
    folders = [
        merge_toys.save(model, tmp_path / str(number), tiny_base)
        for number, model in enumerate(models)
    ]
    weights = merged_weights(merge_toys.source(*folders, shares=(0.5, -1.5)))
    before = merge_toys.load(tiny_base).state_dict()
    first, other = (model.merge_and_unload().state_dict() for model in models)
    for name in weights.shapes:
        wanted = before[name] + 0.5 * (first[name] - before[name])
        wanted -= 1.5 * (other[name] - before[name])
        torch.testing.assert_close(weights.get(name), wanted, rtol=1e-4, atol=1e-5)


def test_dora_and_plain_adapters_add_up(tiny_base: Path, tmp_path: Path) -> None:
    models = [
        merge_toys.adapted(tiny_base, seed, target_modules=TARGETS, use_dora=seed == 2)
        for seed in (1, 2)
    ]
    folders = [
        merge_toys.save(model, tmp_path / str(number), tiny_base)
        for number, model in enumerate(models)
    ]
    weights = merged_weights(merge_toys.source(*folders))
    before = merge_toys.load(tiny_base).state_dict()
    first, other = (model.merge_and_unload().state_dict() for model in models)
    for name in weights.shapes:
        wanted = first[name] + other[name] - before[name]
        torch.testing.assert_close(weights.get(name), wanted, rtol=1e-4, atol=1e-5)
