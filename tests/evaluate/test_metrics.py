"""Accuracy, bits per byte and multiple choice: golden numbers, refusals, coverage, memory."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bactrian.errors import DataError
from bactrian.evaluate.metrics import (
    Cell,
    Estimate,
    Options,
    Rule,
    accuracy,
    bits_per_byte,
    mark,
    percentiles,
    pick,
    resampled_sums,
    wilson,
)
from bactrian.schema import Score

XCOPA = Path(__file__).parents[3] / "shared" / "data" / "xcopa" / "data"


@pytest.mark.parametrize(
    ("right", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (13, 20), (310, 500), (9_999, 10_000)]
)
def test_accuracy_has_the_wilson_interval_of_scipy(right: int, n: int) -> None:
    found = accuracy([True] * right + [False] * (n - right))
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert found.value == right / n
    assert found.n == n
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert found.low <= found.value <= found.high


def test_accuracy_of_numpy_booleans_is_a_plain_float() -> None:
    found = accuracy(list(np.array([True, False, True, True])))
    assert found.value == 0.75
    assert json.dumps([found.value, found.low, found.high])


def test_forms_of_one_question_count_as_fewer_items() -> None:
    right = [True, True, False, False] * 25
    names = [str(number // 2) for number in range(100)]  # both of a pair right, or both wrong
    together, apart = accuracy(right, names), accuracy(right)
    half = accuracy(right[::2])
    assert (together.low, together.high) == pytest.approx((half.low, half.high))
    assert together.n == 100
    # pairs of which always exactly one is right: never surer than independent items
    one_of_two = accuracy([True, False] * 50, names)
    assert (one_of_two.low, one_of_two.high) == (apart.low, apart.high)
    assert accuracy([True] * 4, ["a", "a", "b", "b"]) == accuracy([True] * 4)


def test_no_items_are_refused() -> None:
    with pytest.raises(DataError, match="no items"):
        accuracy([])
    with pytest.raises(DataError, match="no items"):
        bits_per_byte([], [])
    with pytest.raises(DataError, match="no items"):
        wilson(0, 0)
    with pytest.raises(DataError, match="3 right answers among 2"):
        wilson(3, 2)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.25])
def test_wilson_covers_the_truth_as_often_as_it_says(share: float) -> None:
    n = 100
    chance = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    intervals = [wilson(right, n) for right in range(n + 1)]
    # every possible outcome with its probability: the coverage itself, not a simulation of it
    coverage = sum(
        chance[right] for right, found in enumerate(intervals) if found.low <= share <= found.high
    )
    assert 0.93 < coverage < 0.97


def test_bits_per_byte_is_a_ratio_of_sums() -> None:
    # 8 bits over 2 bytes and 4 bits over 8: 12 / 10, where the mean of ratios would be 2.25
    nats = [8 * math.log(2), 4 * math.log(2)]
    assert bits_per_byte(nats, [2, 8]).value == pytest.approx(1.2)


def test_a_uniform_model_over_bytes_costs_eight_bits_with_no_spread() -> None:
    sizes = np.arange(1, 50)
    found = bits_per_byte(sizes * math.log(256), sizes)
    assert (found.value, found.low, found.high) == pytest.approx((8, 8, 8))


def test_bits_per_byte_interval_agrees_with_scipy_bootstrap() -> None:
    generator = np.random.default_rng(7)
    sizes = generator.integers(20, 400, size=80)
    nats = sizes * generator.gamma(4, 0.2, size=80)

    def ratio(nats: np.ndarray, sizes: np.ndarray, axis: int = -1) -> np.ndarray:
        found: np.ndarray = nats.sum(axis=axis) / (math.log(2) * sizes.sum(axis=axis))
        return found

    found = bits_per_byte(nats, sizes, seed=1)
    expected = stats.bootstrap(
        (nats, sizes), ratio, paired=True, method="percentile", n_resamples=10_000, rng=3
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)


def test_bits_per_byte_interval_covers_the_truth() -> None:
    generator = np.random.default_rng(2024)
    hits, rounds, n = 0, 1_500, 150
    # nats = size * rate with independent rates of mean 0.8: the ratio aimed at is 0.8 / ln 2
    truth = 0.8 / math.log(2)
    for turn in range(rounds):
        sizes = generator.integers(20, 400, size=n)
        nats = sizes * generator.gamma(4, 0.2, size=n)
        found = bits_per_byte(nats, sizes, draws=600, seed=turn)
        hits += found.low <= truth <= found.high
    assert 0.94 <= hits / rounds <= 0.96


@pytest.mark.parametrize("n", [4, 6, 10, 31, 500])
def test_few_items_have_the_tails_of_student(n: int) -> None:
    drawn = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    low, high = percentiles(drawn, n)
    reach = math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)
    assert high == pytest.approx(reach, rel=0.02 if n == 4 else 0.002)
    assert low == pytest.approx(-high)


def test_one_text_says_nothing_about_the_spread() -> None:
    found = bits_per_byte([math.log(2)], [1])
    assert found == Estimate(1.0, 0.0, math.inf, 1)


@pytest.mark.parametrize(
    ("nats", "sizes", "says"),
    [
        ([1.0, 2.0], [3], "2 likelihoods for 1 texts"),
        ([1.0, -2.0], [3, 4], "item 1 has no usable nats"),
        ([math.nan, 2.0], [3, 4], "item 0 has no usable nats"),
        ([1.0, math.inf], [3, 4], "item 1 has no usable nats"),
        ([1.0, 2.0], [3, 0], "item 1 is a text of no bytes"),
    ],
)
def test_bits_per_byte_refuses_what_cannot_be_meant(
    nats: list[float], sizes: list[int], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        bits_per_byte(nats, sizes)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    nats, sizes = [3.0, 9.0, 4.0, 7.0], [5, 6, 7, 8]
    assert bits_per_byte(nats, sizes, seed=5) == bits_per_byte(nats, sizes, seed=5)
    table = np.array([nats, sizes], dtype=float).T
    assert (resampled_sums(table, seed=5) != resampled_sums(table, seed=6)).any()


def test_a_draw_takes_as_many_items_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]])
    sums = resampled_sums(table, draws=500)
    assert sums.shape == (500, 2)
    assert (sums[:, 0] == 3).all()
    assert sums[:, 1].min() == 6
    assert sums[:, 1].max() == 15
    # how many draws are made at once must not move the numbers
    monkeypatch.setattr("bactrian.evaluate.metrics.sampling.CHUNK_CELLS", 7)
    assert (resampled_sums(table, draws=500) == sums).all()


def test_twenty_thousand_items_stay_under_200_megabytes() -> None:
    table = np.random.default_rng(0).random((20_000, 4))  # no two rows alike
    tracemalloc.start()
    try:
        resampled_sums(table, draws=300)  # three chunks: more draws only add rows of the answer
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6


ITEM = Options("q", ("ab", "ขขข", "abcdefgh"), (-4.0, -5.0, -8.0), gold=1)


@pytest.mark.parametrize(
    ("rule", "index"),
    # -4, -5, -8 as they are; by code points -2, -1.67, -1; by UTF-8 bytes -2, -0.556, -1
    [("acc", 0), ("acc_norm", 2), ("acc_bytes", 1)],
)
def test_each_rule_picks_its_own_option(rule: Rule, index: int) -> None:
    assert pick(ITEM, rule).index == index
    assert mark([ITEM], rule).correct == (index == 1,)


def test_of_equal_options_the_first_is_taken_and_counted_as_a_tie() -> None:
    tied = Options("t", ("a", "b", "c"), (-3.0, -1.0, -1.0), gold=2)
    lower_tie = Options("l", ("a", "b", "c"), (-3.0, -3.0, -1.0), gold=2)
    found = mark([tied, lower_tie])
    assert pick(tied).index == 1
    assert (found.ids, found.correct, found.ties) == (("t", "l"), (False, True), 1)


def test_an_impossible_option_loses_and_an_undefined_one_is_refused() -> None:
    assert pick(Options("q", ("a", "b"), (-math.inf, -9.0), 0)).index == 1
    with pytest.raises(DataError, match="item q has a log-likelihood that is not a number"):
        Options("q", ("a", "b"), (math.nan, -9.0), 0)


@pytest.mark.parametrize(
    ("texts", "values", "gold", "says"),
    [
        (("a", "b"), (-1.0,), 0, "2 options and 1 log-likelihoods"),
        ((), (), 0, "0 options"),
        (("a", "b"), (-1.0, -2.0), 2, "calls option 2 of 2"),
        (("a", "b"), (-1.0, -2.0), -1, "calls option -1 of 2"),
    ],
)
def test_items_that_do_not_hold_together_are_refused(
    texts: tuple[str, ...], values: tuple[float, ...], gold: int, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        Options("q", texts, values, gold)


def test_an_empty_option_has_no_length_to_divide_by() -> None:
    item = Options("q7", ("", "b"), (-1.0, -2.0), 0)
    assert pick(item).index == 0
    with pytest.raises(DataError, match="item q7: option 0 is empty, acc_norm divides"):
        pick(item, "acc_norm")


def test_a_cell_makes_a_score() -> None:
    cell = Cell("multi", "xcopa", "vi", "prompt:1f3a|shots:0")
    assert cell.score("acc", Estimate(0.6, 0.5, 0.7, 90)) == Score(
        "multi", "xcopa", "vi", "acc", 0.6, 0.5, 0.7, 90, "prompt:1f3a|shots:0"
    )
    cost = cell.score("bits_per_byte", Estimate(1.2, 1.1, 1.3, 90), higher_is_better=False)
    assert not cost.higher_is_better


def test_lengths_of_real_options_differ_by_rule() -> None:
    path = XCOPA / "zh" / "val.zh.jsonl"
    if not path.exists():
        pytest.skip("the XCOPA files are not beside this checkout (shared/data/xcopa)")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    items = [
        # every code point costs one nat: divided by code points all options are equal
        Options(str(row["idx"]), texts, tuple(-float(len(text)) for text in texts), row["label"])
        for row in rows
        for texts in [(row["choice1"], row["choice2"])]
    ]
    assert len(items) == 100
    by_characters = mark(items, "acc_norm")
    assert by_characters.ties == 100
    assert by_characters.correct == tuple(row["label"] == 0 for row in rows)
    shorter = mark(items, "acc")
    assert shorter.ties == sum(len(r["choice1"]) == len(r["choice2"]) for r in rows) > 0
