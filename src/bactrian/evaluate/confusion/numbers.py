"""Shares of judged answers as scores, and as differences paired by prompt. Knows no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bactrian.evaluate.compare import MACRO, Draws, Pair, corrected, difference
from bactrian.evaluate.confusion.judging import Judged
from bactrian.evaluate.metrics import ACCURACY, Counted, Measure, averages, wilson
from bactrian.evaluate.metrics.estimates import Cell
from bactrian.models.adapters import BASE
from bactrian.schema import Difference, Score

METRICS = {
    "line_language": "lines",
    "word_language": "words",
    "refusal_rate": "refused",
    "empty_rate": "empty",
    "cut_rate": "cut",
    "loop_rate": "loops",
}
"""Metrics by name, and what of an answer they count."""
BETTER_HIGH = ("line_language", "word_language")

ByItem = Mapping[str, Judged]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was found, and what a reader has to know about it."""

    scores: tuple[Score, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    averages: tuple[Score, ...] = ()
    """Macro and micro averages of what every language has."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One language: every model's answers, judged."""

    language: str
    signature: str
    judged: Mapping[str, ByItem]
    """By model, then by item."""


def numbers(task: str, found: Sequence[Spoken], draws: Draws) -> Numbers:
    """Return every number of the task; an answer that a metric does not count is not in its n."""
    models = list(dict.fromkeys(model for one in found for model in one.judged))
    adapters = [model for model in models if model != BASE] if BASE in models else []
    return Numbers(
        tuple(
            _cell(task, one, model).score(
                metric,
                wilson(sum(marks.values()), len(marks)),
                higher_is_better=metric in BETTER_HIGH,
            )
            for one in found
            for model in one.judged
            for metric in METRICS
            if (marks := _marks(one, model, metric))
        ),
        tuple(
            one
            for model in adapters
            for metric in METRICS
            for one in between(Pair(model, BASE, task), found, metric, draws)
        ),
        tuple(_notes(task, found)),
        tuple(score for model in models for score in _averages(task, found, model, draws)),
    )


def _cell(task: str, one: Spoken, model: str) -> Cell:
    return Cell(model, task, one.language, one.signature)


def _marks(one: Spoken, model: str, metric: str) -> dict[str, bool]:
    """Return the metric of each answer that it counts."""
    told = {item: getattr(found, METRICS[metric]) for item, found in one.judged[model].items()}
    return {item: mark for item, mark in told.items() if mark is not None}


def _measure(metric: str) -> Measure:
    return replace(ACCURACY, metric=metric, higher_is_better=metric in BETTER_HIGH)


def _counted(marks: Mapping[str, bool]) -> Counted:
    rows = np.array([[float(mark), 1.0] for mark in marks.values()]).reshape(-1, 2)
    return Counted(tuple(marks), tuple(marks), rows)


def between(pair: Pair, found: Sequence[Spoken], metric: str, draws: Draws) -> Iterator[Difference]:
    """Yield the differences of two models by language, and their average where none is left out.

    Only prompts count of which the metric counts both answers.
    """
    ours, theirs = {}, {}
    for one in found:
        mine, other = (_marks(one, model, metric) for model in (pair.model, pair.against))
        if both := [item for item in mine if item in other]:
            ours[one.language] = _counted({item: mine[item] for item in both})
            theirs[one.language] = _counted({item: other[item] for item in both})
    measure = _measure(metric)
    yield from corrected(
        [
            difference(
                replace(pair, language=code),
                measure,
                {code: ours[code]},
                {code: theirs[code]},
                draws,
            )
            for code in ours
        ]
    )
    if len(found) > 1 and len(ours) == len(found):
        yield difference(replace(pair, language=MACRO), measure, ours, theirs, draws)


def _averages(task: str, found: Sequence[Spoken], model: str, draws: Draws) -> Iterator[Score]:
    for metric in METRICS:
        rows = {one.language: _marks(one, model, metric) for one in found}
        if len(rows) < 2 or not all(rows.values()):
            continue  # an average leaves no language out: it stands in the cells alone
        counted = {code: _counted(marks) for code, marks in rows.items()}
        for how, estimate in averages(counted, _measure(metric), draws).items():
            cell = Cell(model, task, how, f"task:{task}|langs:{'+'.join(sorted(rows))}")
            yield cell.score(metric, estimate, higher_is_better=metric in BETTER_HIGH)


def _notes(task: str, found: Sequence[Spoken]) -> Iterator[str]:
    """Yield how many answers tell no language."""
    for one in found:
        for model, judged in one.judged.items():
            where = f"{task} {one.language}, {model}"
            if silent := sum(answer.lines is None for answer in judged.values()):
                yield f"{where}: {silent} of {len(judged)} answers tell no language"
