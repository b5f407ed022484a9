"""Differences of what belongs together, and of label tasks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bactrian.evaluate.compare import (
    Draws,
    Pair,
    accuracy_difference,
    difference,
    macro_accuracy_difference,
    mcnemar,
)
from bactrian.evaluate.metrics import ACCURACY, F1_MACRO, Counted, confusion

PAIR = Pair("multi", "base", "xcopa", "vi")


def marks(both: int, gained: int, lost: int, neither: int) -> tuple[dict[str, bool], ...]:
    """Return the results of two models with these four counts."""
    outcomes = [(True, True)] * both + [(True, False)] * gained
    outcomes += [(False, True)] * lost + [(False, False)] * neither
    names = [f"q{number:05}" for number in range(len(outcomes))]
    return tuple(
        {name: outcome[side] for name, outcome in zip(names, outcomes, strict=True)}
        for side in (0, 1)
    )


def test_forms_of_one_question_are_one_throw() -> None:
    ours, theirs = marks(40, 20, 6, 34)
    ids = tuple(sorted(ours))
    rows = {name: np.array([[float(side[i]), 1.0] for i in ids])
            for name, side in (("ours", ours), ("theirs", theirs))}  # fmt: skip
    # the same items twice over, each pair one cluster: nothing more is known than of the one
    double = [
        {"vi": Counted(
            tuple(f"{i}-{k}" for k in (1, 2) for i in ids), ids * 2, np.concatenate((r, r)))}
        for r in rows.values()
    ]  # fmt: skip
    found = difference(PAIR, ACCURACY, double[0], double[1])
    single = accuracy_difference(PAIR, ours, theirs)
    assert (found.value, found.low, found.high) == (single.value, single.low, single.high)
    assert found.p == pytest.approx(single.p)
    assert found.n == single.n == 100
    assert "100 clusters of 200 items" in found.method
    assert "exact test over clusters" in found.method


def test_f1_differences_have_a_randomised_p() -> None:
    generator = np.random.default_rng(2)
    gold = generator.integers(0, 3, 300)
    good = np.where(generator.random(300) < 0.7, gold, generator.integers(0, 3, 300))
    poor = np.where(generator.random(300) < 0.5, gold, generator.integers(0, 3, 300))
    ids = tuple(map(str, range(300)))
    sides = [{"ja": Counted(ids, ids, confusion(gold, a, 3))} for a in (good, poor, good)]
    found = difference(replace(PAIR, language="ja"), F1_MACRO, sides[0], sides[1], Draws(2_000))
    assert (found.metric, found.better) == ("f1_macro", True)
    assert found.p is not None
    assert 1 / 2_001 <= found.p < 0.005
    same = difference(replace(PAIR, language="ja"), F1_MACRO, sides[0], sides[2], Draws(500))
    assert (same.value, same.p, same.clear) == (0, 1.0, False)


def test_randomisation_agrees_with_the_exact_test() -> None:
    ours, theirs = marks(60, 22, 9, 30)
    two = (
        {"vi": ours, "th": dict.fromkeys(ours, True)},
        {"vi": theirs, "th": dict.fromkeys(ours, True)},
    )
    found = macro_accuracy_difference(PAIR, *two, parallel=True)
    assert found.p == pytest.approx(mcnemar(22, 9), abs=0.006)


def test_translations_of_one_question_are_drawn_together() -> None:
    ours, theirs = marks(150, 30, 20, 200)
    languages = ("et", "id", "vi", "zh")
    model, against = dict.fromkeys(languages, ours), dict.fromkeys(languages, theirs)
    clustered = macro_accuracy_difference(PAIR, model, against, parallel=True)
    apart = macro_accuracy_difference(PAIR, model, against, parallel=False)
    single = accuracy_difference(PAIR, ours, theirs)
    # four copies of one language know as much as one of them: the same draws, the same interval
    assert (clustered.low, clustered.high) == pytest.approx((single.low, single.high))
    assert clustered.n == 400
    assert "clustered by id across 4 languages" in clustered.method
    # taken as independent they would look twice as sure
    assert (apart.high - apart.low) == pytest.approx((single.high - single.low) / 2, rel=0.1)


def test_a_language_that_many_draws_miss_leaves_the_average_unbounded() -> None:
    ours, theirs = marks(20, 10, 10, 20)
    two = {name: ours[name] for name in list(ours)[:2]}
    sides = {"vi": ours, "th": ours, "km": two}, {"vi": theirs, "th": theirs, "km": dict(two)}
    found = macro_accuracy_difference(PAIR, *sides, parallel=True)
    assert (found.low, found.high, found.clear) == (-math.inf, math.inf, False)
    assert found.detectable is None
    assert found.method.endswith("too few items in a language for an interval")
    assert math.isfinite(macro_accuracy_difference(PAIR, *sides, parallel=False).low)


def test_five_questions_show_no_difference_however_large() -> None:
    assert accuracy_difference(PAIR, *marks(0, 5, 0, 0)).detectable is None
    assert accuracy_difference(PAIR, *marks(0, 12, 0, 0)).detectable is not None
    few = {"vi": dict.fromkeys("ab", True), "th": dict.fromkeys("ab", True)}
    none = {"vi": {"a": False, "b": True}, "th": dict.fromkeys("ab", False)}
    assert macro_accuracy_difference(PAIR, few, none, parallel=False).detectable is None
