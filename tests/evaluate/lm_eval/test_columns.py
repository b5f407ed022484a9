"""Numbers of lm-eval's functions with intervals and paired differences."""

from __future__ import annotations

import math
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bactrian.evaluate.lm_eval.columns import Column, Draws, Numbers, Place, columns, numbers
from bactrian.evaluate.lm_eval.leaves import Leaf

PLACE = Place("lm_eval:toy", "th", "task:toy")
DRAWS = Draws(2000, 0)


def leaf(better: dict[str, bool]) -> Leaf:
    task = SimpleNamespace(
        aggregation=lambda: {"total": sum, "acc": fmean}, higher_is_better=lambda: better
    )
    return Leaf("toy", task)


def accuracy(values: list[float]) -> Column:
    return Column("acc", tuple(values), fmean, True)


def test_each_metric_is_a_column_put_together_by_its_own_function() -> None:
    documents: list[dict[str, Any]] = [{"total": 1, "acc": 1.0}, {"total": 5, "acc": 0.0, "odd": 4}]
    found = {one.metric: one for one in columns(leaf({"total": False}), documents, "none")}
    assert {name: one.value for name, one in found.items()} == {"total": 6, "acc": 0.5, "odd": 4}
    assert not found["total"].higher_is_better
    assert found["acc"].higher_is_better
    (strict,) = columns(leaf({}), [{"acc": 1.0}], "strict-match")
    assert strict.metric == "acc,strict-match"


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = [float(number % 3 == 0) for number in range(300)]
    found = numbers(PLACE, {"base": [accuracy(values)]}, DRAWS)
    (score,) = found.scores
    reach = 1.96 * math.sqrt(score.value * (1 - score.value) / 300)
    assert score.low == pytest.approx(score.value - reach, abs=0.01)
    assert score.high == pytest.approx(score.value + reach, abs=0.01)
    assert (score.n, score.model, score.task, score.language) == (300, "base", "lm_eval:toy", "th")
    assert found.differences == ()


def test_differences_are_paired() -> None:
    """The same documents are drawn for both, so that what they share does not count as noise."""
    chance = np.random.default_rng(3)
    base = list(chance.normal(0, 10, 200))
    better = [value + 1 + 0.01 * chance.normal() for value in base]
    given = {"base": [accuracy(base)], "zh": [accuracy(better)]}
    found = numbers(PLACE, given, DRAWS)
    (difference,) = found.differences
    assert difference.value == pytest.approx(1, abs=0.01)
    assert difference.high - difference.low < 0.02
    assert difference.clear
    assert difference.method == "paired bootstrap, 2000 draws, seed 0"
    assert numbers(PLACE, given, DRAWS) == found, "the same at every call"


def test_one_document_says_nothing_of_the_spread() -> None:
    (score,) = numbers(PLACE, {"base": [accuracy([1.0])]}, DRAWS).scores
    assert (score.low, score.high) == (-math.inf, math.inf)


def test_metrics_of_whole_corpora_are_drawn_less_often() -> None:
    assert len(Column("bleu", (1.0, 2.0), fmean, True).drawn(DRAWS)) == 100
    assert len(Column("bleu", (1.0, 2.0), fmean, True).drawn(Draws(7, 0))) == 7
    assert len(accuracy([1.0, 0.0]).drawn(DRAWS)) == 2000


def test_numbers_of_several_tasks_are_put_together() -> None:
    one = numbers(PLACE, {"base": [accuracy([1.0, 0.0])]}, DRAWS)
    both = one + Numbers(notes=("cut",))
    assert both.scores == one.scores
    assert both.notes == ("cut",)
