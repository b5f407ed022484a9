"""Numbers that lm-eval's own functions make of documents, with our intervals and differences.

The intervals are a bootstrap over documents, the same draws for every model, so that differences
are paired. Knows no models and no texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bactrian.evaluate.lm_eval.leaves import Leaf
from bactrian.models.adapters import BASE
from bactrian.schema import Difference, Score

SLOW = ("bleu", "chrf", "ter")
"""Metrics of whole corpora, for which fewer draws are made, as lm-eval does."""
DRAWS_OF_SLOW = 100
NO_FILTER = "none"
"""What lm-eval calls the filter that changes nothing."""


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals are made."""

    count: int
    seed: int


@dataclass(frozen=True, slots=True)
class Place:
    """Whose numbers they are."""

    task: str
    language: str
    signature: str


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one task under one model, by document."""

    metric: str
    values: tuple[Any, ...]
    """What lm-eval puts together: numbers, or whatever its own functions want."""
    aggregate: Callable[[list[Any]], float]
    higher_is_better: bool

    @property
    def value(self) -> float:
        """The metric of all documents."""
        return float(self.aggregate(list(self.values)))

    def drawn(self, draws: Draws) -> list[float]:
        """Return the metric of each bootstrap sample of the documents."""
        import numpy as np

        chance = np.random.default_rng(draws.seed)
        most = DRAWS_OF_SLOW if self.metric.startswith(SLOW) else draws.count
        total = len(self.values)
        found = []
        for _ in range(min(most, draws.count)):
            places = chance.integers(0, total, size=total)
            found.append(float(self.aggregate([self.values[place] for place in places])))
        return found


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was found, and what a reader has to know about it."""

    scores: tuple[Score, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Numbers) -> Numbers:
        return Numbers(
            (*self.scores, *other.scores),
            (*self.differences, *other.differences),
            (*self.notes, *other.notes),
        )


def columns(leaf: Leaf, documents: Iterable[Mapping[str, Any]], kept: str) -> Iterator[Column]:
    """Yield a column for each metric that ``documents`` have; ``kept`` names lm-eval's filter."""
    aggregation, better = leaf.task.aggregation(), leaf.task.higher_is_better()
    rows: dict[str, list[Any]] = {}
    for document in documents:
        for metric, value in document.items():
            rows.setdefault(metric, []).append(value)
    for metric, values in rows.items():
        called = metric if kept == NO_FILTER else f"{metric},{kept}"
        told = better.get(metric)
        yield Column(called, tuple(values), aggregation.get(metric, _mean), told is not False)


def numbers(place: Place, found: Mapping[str, Sequence[Column]], draws: Draws) -> Numbers:
    """Return every model's numbers, and those of each adapter against the base."""
    drawn = {
        model: {one.metric: one.drawn(draws) for one in several} for model, several in found.items()
    }
    scores = tuple(
        _score(place, model, one, drawn[model][one.metric])
        for model, several in found.items()
        for one in several
    )
    theirs = {one.metric: one for one in found[BASE]}
    differences = tuple(
        _difference(
            place,
            model,
            (one, theirs[one.metric]),
            (drawn[model][one.metric], drawn[BASE][one.metric]),
            draws.seed,
        )
        for model, several in found.items()
        for one in several
        if model != BASE and one.metric in theirs
    )
    return Numbers(scores, differences)


def _score(place: Place, model: str, one: Column, drawn: Sequence[float]) -> Score:
    low, high = _ends(drawn, len(one.values))
    return Score(
        model=model,
        task=place.task,
        language=place.language,
        metric=one.metric,
        value=one.value,
        low=low,
        high=high,
        n=len(one.values),
        signature=place.signature,
        higher_is_better=one.higher_is_better,
    )


def _difference(
    place: Place,
    model: str,
    pair: tuple[Column, Column],
    drawn: tuple[Sequence[float], Sequence[float]],
    seed: int,
) -> Difference:
    mine, base = pair
    gaps = [one - other for one, other in zip(*drawn, strict=True)]
    low, high = _ends(gaps, len(mine.values))
    return Difference(
        model=model,
        against=BASE,
        task=place.task,
        language=place.language,
        metric=mine.metric,
        value=mine.value - base.value,
        low=low,
        high=high,
        n=len(mine.values),
        method=f"paired bootstrap, {len(gaps)} draws, seed {seed}",
        higher_is_better=mine.higher_is_better,
    )


def _ends(drawn: Sequence[float], count: int) -> tuple[float, float]:
    """Return the 95 % interval; one document says nothing about the spread."""
    import numpy as np

    if count < 2 or not drawn:
        return -math.inf, math.inf
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _mean(values: list[Any]) -> float:
    return float(sum(values) / len(values))
