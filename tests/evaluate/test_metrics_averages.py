"""Averages over languages and what is drawn together: strata, clusters, coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bactrian.errors import DataError
from bactrian.evaluate.metrics import (
    ACCURACY,
    MACRO,
    MICRO,
    Counted,
    Draws,
    averages,
    resampled_sums,
    swapped_sums,
    table_of,
)

Rng = np.random.Generator


def language(right: list[bool], names: list[str] | None = None, code: str = "") -> Counted:
    """Return right and wrong answers; clusters are the ids, of one language where it has a code."""
    ids = names or [str(number) for number in range(len(right))]
    rows = np.array([[float(hit), 1.0] for hit in right])
    return Counted(tuple(ids), tuple(f"{code}{name}" for name in ids), rows)


def test_macro_weighs_languages_and_micro_weighs_items() -> None:
    found = averages(
        {"en": language([True] * 75 + [False] * 25, code="en"), "fr": language([False] * 20)},
        ACCURACY, Draws(200),
    )  # fmt: skip
    assert found[MACRO].value == 0.375
    assert found[MICRO].value == 75 / 120
    assert found[MACRO].n == found[MICRO].n == 120


def test_every_sample_has_each_languages_items() -> None:
    both = [f"q{number}" for number in range(30)]
    only = [f"e{number}" for number in range(40)]
    languages = {"et": language([True] * 70, both + only), "th": language([True] * 30, both)}
    table = table_of(languages)
    drawn = table.resampled(Draws(50))
    assert table.values.shape == (70, 2, 2)
    assert (drawn[:, :, 1] == [70, 30]).all()
    assert (table.items, table.fewest) == (100, 30)


def test_few_questions_that_share_their_languages_are_drawn_with_others() -> None:
    # 60 in et and th, 3 in et and vi, 25 in vi alone
    th, et, vi = ([f"{code}{n}" for n in range(60)] for code in ("q", "e", "v"))
    table = table_of(
        {
            "et": language([True] * 63, th + et[:3]),
            "th": language([True] * 60, th),
            "vi": language([True] * 28, et[:3] + vi[:25]),
        }
    )
    assert sorted(np.unique(table.strata, return_counts=True)[1].tolist()) == [25, 63]
    drawn = table.resampled(Draws(50))[..., 1]
    assert len(set(drawn[:, 1].tolist())) > 1
    assert (drawn[:, 0] == 63).all()


def test_a_language_of_three_questions_is_never_missed() -> None:
    table = table_of({"en": language([True] * 50, code="en"), "fr": language([True] * 3)})
    assert (table.resampled(Draws(200))[..., 1] == [50, 3]).all()


def test_equal_rows_are_drawn_as_kinds_with_the_spread_of_items() -> None:
    rows = np.array([[1.0, 1.0]] * 300 + [[0.0, 1.0]] * 700)
    kinds = resampled_sums(rows, draws=4_000)
    apart = resampled_sums(np.column_stack((rows, np.random.default_rng(0).random(1000))))[:, :2]
    assert (kinds[:, 1] == 1000).all()
    assert kinds[:, 0].mean() == pytest.approx(300, abs=1)
    assert kinds[:, 0].std() == pytest.approx(math.sqrt(1000 * 0.3 * 0.7), rel=0.05)
    assert apart[:, 0].std() == pytest.approx(kinds[:, 0].std(), rel=0.05)


def test_a_swap_keeps_what_both_have_together() -> None:
    table = np.array([[[1.0, 1.0], [0.0, 1.0]]] * 30 + [[[0.0, 1.0], [1.0, 1.0]]] * 10)
    drawn = swapped_sums(table, draws=3_000)
    assert (drawn.sum(axis=1) == table.sum(axis=(0, 1))).all()
    gap = drawn[:, 0, 0] - drawn[:, 1, 0]
    assert gap.mean() == pytest.approx(0, abs=0.5)
    assert gap.std() == pytest.approx(math.sqrt(40), rel=0.05)


def _parallel(generator: Rng) -> dict[str, Counted]:
    # a question that is hard in one language is hard in all
    ease = generator.normal(0.25, 1, size=100)
    return {
        code: language((ease + generator.normal(0, 0.7, size=100) > 0).tolist())
        for code in ("et", "th", "tr", "vi")
    }


def _independent(generator: Rng) -> dict[str, Counted]:
    return {
        code: language((generator.normal(0.25, 1.2206556, size=n) > 0).tolist(), code=code)
        for code, n in (("en", 300), ("fr", 100), ("ja", 200))
    }


@pytest.mark.parametrize("make", [_parallel, _independent])
def test_intervals_of_averages_cover_the_truth(make: Callable[[Rng], dict[str, Counted]]) -> None:
    from scipy import stats

    truth = float(stats.norm.cdf(0.25 / 1.2206556))
    generator = np.random.default_rng(17)
    rounds, hits = 2_500, {MACRO: 0, MICRO: 0}
    for turn in range(rounds):
        for how, found in averages(make(generator), ACCURACY, Draws(800, turn)).items():
            hits[how] += found.low <= truth <= found.high
    assert 0.94 <= hits[MACRO] / rounds <= 0.96
    assert 0.94 <= hits[MICRO] / rounds <= 0.96


def test_one_item_of_a_language_bounds_nothing() -> None:
    found = averages({"en": language([True] * 20), "fr": language([True])}, ACCURACY, Draws(50))
    assert (found[MACRO].low, found[MACRO].high) == (-math.inf, math.inf)
    with pytest.raises(DataError, match="no language"):
        averages({}, ACCURACY, Draws(50))


def test_the_order_of_languages_and_items_moves_nothing() -> None:
    generator = np.random.default_rng(1)
    one = {code: language((generator.random(50) > 0.4).tolist()) for code in ("et", "th")}
    turned = {
        code: Counted(c.ids[::-1], c.clusters[::-1], c.rows[::-1].copy()) for code, c in one.items()
    }
    assert averages(one, ACCURACY, Draws(300)) == averages(turned, ACCURACY, Draws(300))
