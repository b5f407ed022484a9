"""Paired differences: against scipy, by hand, under simulation, and where they are refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bactrian.errors import DataError
from bactrian.evaluate.compare import (
    ALPHA,
    MACRO,
    Cost,
    Draws,
    Pair,
    accuracy_difference,
    bits_per_byte_difference,
    corrected,
    macro_accuracy_difference,
    macro_bits_per_byte_difference,
    mcnemar,
    smallest_detectable,
)

PAIR = Pair("multi", "base", "xcopa", "vi")
Rng = np.random.Generator


def marks(both: int, gained: int, lost: int, neither: int) -> tuple[dict[str, bool], ...]:
    """Return the results of two models with these four counts."""
    outcomes = [(True, True)] * both + [(True, False)] * gained
    outcomes += [(False, True)] * lost + [(False, False)] * neither
    names = [f"q{number:05}" for number in range(len(outcomes))]
    return tuple(
        {name: outcome[side] for name, outcome in zip(names, outcomes, strict=True)}
        for side in (0, 1)
    )


def costs(generator: Rng, n: int, gain: float) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """Return the costs of a model that saves ``gain`` nats a byte on average, and the other's."""
    sizes = generator.integers(20, 400, size=n)
    shared = generator.gamma(4, 0.2, size=n)
    saved = generator.normal(gain, 0.1, size=n)
    ours = {
        f"i{k}": Cost(s * max(r - g, 0), int(s)) for k, (s, r, g) in _rows(sizes, shared, saved)
    }
    theirs = {f"i{k}": Cost(s * r, int(s)) for k, (s, r, _) in _rows(sizes, shared, saved)}
    return ours, theirs


def _rows(*columns: np.ndarray) -> enumerate[tuple[float, ...]]:
    return enumerate(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 0), (5, 0), (6, 0), (12, 9), (9, 12), (70, 40), (900, 1100)]
)
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    flips = gained + lost
    expected = stats.binomtest(gained, flips, 0.5).pvalue if flips else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_does_not_underflow_on_large_counts() -> None:
    assert mcnemar(10_000, 10_000) == 1.0
    assert 0 < mcnemar(5_400, 4_600) < 1e-14


def test_accuracy_difference_counts_gains_and_losses() -> None:
    found = accuracy_difference(PAIR, *marks(300, 30, 10, 160))
    assert found.value == pytest.approx(0.04)
    assert (found.model, found.against, found.task, found.language) == (
        "multi", "base", "xcopa", "vi",
    )  # fmt: skip
    assert (found.metric, found.n, found.higher_is_better) == ("acc", 500, True)
    assert found.clear
    assert found.better
    p = stats.binomtest(10, 40).pvalue
    assert found.method == (
        "paired bootstrap over ids, 10000 draws, seed 0; "
        f"exact McNemar p = {p:.3g} (30 gained, 10 lost)"
    )


def test_accuracy_interval_agrees_with_scipy_bootstrap() -> None:
    ours, theirs = marks(50, 20, 12, 38)
    found = accuracy_difference(PAIR, ours, theirs)
    each = np.array([ours[name] - theirs[name] for name in ours], dtype=float)
    expected = stats.bootstrap(
        (each,), np.mean, method="percentile", n_resamples=10_000, rng=1
    ).confidence_interval
    # the mean of 120 items moves in steps of 1/120: one step either side is the same answer
    assert found.low == pytest.approx(expected.low, abs=1 / 120)
    assert found.high == pytest.approx(expected.high, abs=1 / 120)
    assert not found.clear


def test_a_difference_that_the_exact_test_does_not_see_is_not_clear() -> None:
    # 5 gained, none lost: hardly a draw without a gain, but a fair coin does it 1 time in 16
    found = accuracy_difference(PAIR, *marks(60, 5, 0, 35))
    assert mcnemar(5, 0) == 0.0625
    assert (found.low, found.clear) == (0.0, False)
    assert "drawn out to zero" in found.method
    worse = accuracy_difference(PAIR, *marks(60, 0, 5, 35))
    assert (worse.high, worse.clear) == (0.0, False)
    sure = accuracy_difference(PAIR, *marks(60, 8, 0, 32))
    assert sure.clear
    assert "drawn out" not in sure.method


def test_a_difference_says_what_it_is_of_and_how_sure_it_is() -> None:
    found = accuracy_difference(PAIR, *marks(300, 30, 10, 160))
    assert (found.model_value, found.against_value) == (330 / 500, 310 / 500)
    assert found.p == mcnemar(30, 10)
    assert found.detectable == smallest_detectable(500, 40 / 500)
    assert found.adjusted is None


def test_holm_decides_what_is_clear_where_many_are_looked_at() -> None:
    sure = accuracy_difference(PAIR, *marks(60, 20, 2, 18))
    lucky = accuracy_difference(PAIR, *marks(60, 12, 3, 25))
    assert lucky.p is not None
    assert 0.03 < lucky.p < ALPHA
    assert lucky.clear
    first, second, third = corrected([lucky, sure, lucky])
    assert first.adjusted == pytest.approx(2 * lucky.p)
    assert third.adjusted == first.adjusted
    assert not first.clear
    assert second.clear
    assert (first.low, first.high) == (lucky.low, lucky.high)


def test_equal_models_differ_by_nothing() -> None:
    ours, theirs = marks(60, 0, 0, 40)
    same = accuracy_difference(PAIR, ours, theirs)
    assert (same.value, same.low, same.high, same.clear) == (0, 0, 0, False)
    _, cost = costs(np.random.default_rng(0), 200, 0)
    equal = bits_per_byte_difference(PAIR, cost, dict(cost))
    assert (equal.value, equal.low, equal.high, equal.clear) == (0, 0, 0, False)


def test_bits_per_byte_difference_agrees_with_scipy_and_lower_is_better() -> None:
    ours, theirs = costs(np.random.default_rng(3), 90, 0.05)
    found = bits_per_byte_difference(PAIR, ours, theirs)
    nats_a, nats_b, sizes = (
        np.array(column, dtype=float)
        for column in zip(
            *((ours[i].nats, theirs[i].nats, ours[i].size) for i in ours), strict=True
        )
    )

    def difference(a: np.ndarray, b: np.ndarray, size: np.ndarray, axis: int = -1) -> np.ndarray:
        found: np.ndarray = (a.sum(axis) - b.sum(axis)) / (math.log(2) * size.sum(axis))
        return found

    assert found.value == pytest.approx(float(difference(nats_a, nats_b, sizes)))
    expected = stats.bootstrap(
        (nats_a, nats_b, sizes), difference, paired=True, method="percentile",
        n_resamples=10_000, rng=2,
    ).confidence_interval  # fmt: skip
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)
    assert (found.metric, found.higher_is_better) == ("bits_per_byte", False)
    assert found.high < 0
    assert found.better


def test_pairing_narrows_the_interval() -> None:
    ours, theirs = costs(np.random.default_rng(5), 90, 0.05)
    paired = bits_per_byte_difference(PAIR, ours, theirs)
    shuffled = dict(zip(theirs, reversed(theirs.values()), strict=True))
    unpaired = bits_per_byte_difference(PAIR, ours, shuffled)
    assert paired.value == pytest.approx(unpaired.value)
    assert 3 * (paired.high - paired.low) < unpaired.high - unpaired.low


def test_the_order_of_the_items_does_not_move_anything() -> None:
    ours, theirs = costs(np.random.default_rng(5), 40, 0.05)
    backwards = dict(reversed(ours.items()))
    assert bits_per_byte_difference(PAIR, ours, theirs) == bits_per_byte_difference(
        PAIR, backwards, theirs
    )
    other = bits_per_byte_difference(PAIR, ours, theirs, draws=Draws(seed=1))
    assert other.low != bits_per_byte_difference(PAIR, ours, theirs).low
    assert other.method.startswith("paired bootstrap over ids, 10000 draws, seed 1; randomisation")


def test_items_of_only_one_model_are_refused_by_name() -> None:
    ours, theirs = marks(3, 1, 1, 3)
    del theirs["q00002"]
    with pytest.raises(DataError, match=r"xcopa in vi: 1 items were scored .* such as q00002"):
        accuracy_difference(PAIR, ours, theirs)
    with pytest.raises(DataError, match="no items to compare"):
        accuracy_difference(PAIR, {}, {})
    with pytest.raises(DataError, match="share no set of languages"):
        macro_accuracy_difference(PAIR, {"vi": ours}, {"zh": ours}, parallel=True)
    with pytest.raises(DataError, match="share no set of languages"):
        macro_accuracy_difference(PAIR, {}, {}, parallel=True)


def test_one_item_gives_no_interval() -> None:
    found = accuracy_difference(PAIR, {"q": True}, {"q": False})
    assert (found.value, found.n, found.clear) == (1.0, 1, False)
    cost = bits_per_byte_difference(PAIR, {"q": Cost(1.0, 4)}, {"q": Cost(2.0, 4)})
    assert (cost.low, cost.high, cost.clear) == (-math.inf, math.inf, False)
    one = {"vi": {"a": Cost(1.0, 4)}, "zh": {"b": Cost(1.0, 4)}}
    two = {"vi": {"a": Cost(2.0, 4)}, "zh": {"b": Cost(3.0, 4)}}
    assert not macro_bits_per_byte_difference(PAIR, one, two, parallel=False).clear


def test_macro_weighs_languages_alike_however_many_items_they_have() -> None:
    big, small = marks(0, 100, 0, 300), marks(0, 0, 10, 10)
    found = macro_accuracy_difference(
        PAIR, {"vi": big[0], "km": small[0]}, {"vi": big[1], "km": small[1]}, parallel=False
    )
    assert found.value == pytest.approx((0.25 - 0.5) / 2)
    assert (found.language, found.n) == (MACRO, 420)
    assert found.method.startswith("paired bootstrap stratified over 2 languages")


def test_languages_that_share_only_some_ids_are_paired_where_they_do() -> None:
    ours, theirs = costs(np.random.default_rng(8), 60, 0.05)
    some = [f"i{k}" for k in range(0, 60, 2)]
    found = macro_bits_per_byte_difference(
        PAIR,
        {"km": {i: ours[i] for i in some}, "vi": ours},
        {"km": {i: theirs[i] for i in some}, "vi": theirs},
        parallel=True,
    )
    each = [
        bits_per_byte_difference(PAIR, {i: ours[i] for i in part}, {i: theirs[i] for i in part})
        for part in (some, list(ours))
    ]
    assert found.value == pytest.approx(sum(one.value for one in each) / 2)
    assert (found.n, found.metric, found.better) == (60, "bits_per_byte", True)


def _accuracy_covers(generator: Rng, turn: int) -> bool:
    outcome = generator.choice(4, size=200, p=[0.5, 0.15, 0.1, 0.25])
    counts = np.bincount(outcome, minlength=4).tolist()
    found = accuracy_difference(PAIR, *marks(*counts), draws=Draws(500, turn))
    return found.low <= 0.05 <= found.high


def _bits_cover(generator: Rng, turn: int) -> bool:
    ours, theirs = costs(generator, 200, 0.02)
    found = bits_per_byte_difference(PAIR, ours, theirs, draws=Draws(500, turn))
    return found.low <= -0.02 / math.log(2) <= found.high


@pytest.mark.parametrize("covers", [_accuracy_covers, _bits_cover])
def test_intervals_cover_the_truth_as_often_as_they_say(covers: Callable[[Rng, int], bool]) -> None:
    generator = np.random.default_rng(11)
    rounds = 1_500
    share = sum(covers(generator, turn) for turn in range(rounds)) / rounds
    assert 0.94 <= share <= 0.96


def test_smallest_detectable_is_found_four_times_in_five() -> None:
    n, discordant = 500, 0.2
    smallest = smallest_detectable(n, discordant)
    assert smallest == pytest.approx(0.0557, abs=0.0003)
    generator = np.random.default_rng(0)
    up, down = (discordant + smallest) / 2, (discordant - smallest) / 2
    flips = generator.multinomial(n, [up, down, 1 - discordant], size=20_000)[:, :2]
    z = np.abs(flips[:, 0] - flips[:, 1]) / np.sqrt(flips.sum(axis=1))
    assert (z > stats.norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.015)


def test_smallest_detectable_shrinks_with_n_and_may_not_exist() -> None:
    assert smallest_detectable(2_000, 0.2) < smallest_detectable(500, 0.2)
    assert smallest_detectable(500, 0.1) < smallest_detectable(500, 0.3)
    assert smallest_detectable(500, 0.0) == math.inf
    assert smallest_detectable(10, 0.1) == math.inf
    for n, share in ((0, 0.2), (100, 1.2), (100, -0.1)):
        with pytest.raises(DataError, match="discordant"):
            smallest_detectable(n, share)
