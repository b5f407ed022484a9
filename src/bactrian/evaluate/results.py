"""What an evaluation found, and the files that keep it.

``results.json`` has every number, ``items.parquet`` every answer they are made from; beside them,
one file a model with lm-evaluation-harness's keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bactrian import __version__
from bactrian.evaluate import statistics
from bactrian.evaluate.answered import Answered, Found, Measured, answered
from bactrian.evaluate.counted import metrics_of, ties
from bactrian.evaluate.harness import lm_eval_shape
from bactrian.evaluate.items import NAME, write_items
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.statistics import Histogram
from bactrian.files import write_text
from bactrian.schema import Difference, Score

__all__ = [
    "BASE",
    "Found",
    "Measured",
    "Results",
    "differences_of",
    "read",
    "results_of",
    "scores_of",
    "write",
]

BASE = "base"
CLEAN, DIRTY = "clean", "dirty"
Dirty = Mapping[tuple[str, str], frozenset[str]]
"""Task and language to ids whose words stand in the training data."""


@dataclass(frozen=True, slots=True)
class Results:
    """What an evaluation found."""

    base: str
    models: tuple[str, ...]
    """``base`` first, then the adapters."""
    scores: tuple[Score, ...]
    """One language and one metric each, over all items."""
    differences: tuple[Difference, ...]
    """Each adapter against the base: by language, and as the macro average."""
    notes: tuple[str, ...] = ()
    """What a reader has to know: contexts cut, ties, tokens that spanned a join."""
    averages: tuple[Score, ...] = ()
    """Macro and micro averages over the languages of a task, of the whole and of each group."""
    groups: tuple[Score, ...] = ()
    """The main number on each group of a task, and on its clean and dirty items."""
    group_differences: tuple[Difference, ...] = ()
    """Each adapter against the base on each group, as the macro average."""
    baselines: tuple[Score, ...] = ()
    """What answers get that know nothing: ``majority answer``, ``longest option``, ``always x``."""
    histograms: tuple[Histogram, ...] = ()
    """Which labels were given on label tasks."""
    answered: tuple[Answered, ...] = field(default=(), compare=False, repr=False)
    """What everything is made from; written to a table of its own, and not read back with it."""


def results_of(
    base: str,
    measured: Sequence[Measured],
    draws: Draws,
    notes: Sequence[str] = (),
    *,
    dirty: Dirty | None = None,
) -> Results:
    """Return every number of an evaluation; ``dirty`` names ids met in the training data.

    Raises DataError for an item without a score.
    """
    found = tuple(map(answered, measured))
    tasks = [[one for one in found if one.task == name] for name in _tasks(found)]
    scores = tuple(score for one in found for score in statistics.scores_of(one, draws))
    baselines = tuple(score for one in found for score in statistics.baselines_of(one, draws))
    return Results(
        base,
        tuple(dict.fromkeys(model for one in found for model in one.nats)),
        scores,
        _differences(tasks, draws),
        (*notes, *_notes(found)),
        tuple(_averages(tasks, draws)),
        tuple(_groups(found, dirty or {}, draws)),
        tuple(_group_differences(tasks, draws)),
        baselines,
        tuple(
            histogram
            for one in found
            for histogram in statistics.histograms_of(one, _of(scores, one), _of(baselines, one))
        ),
        found,
    )


def scores_of(measured: Measured, draws: Draws) -> tuple[Score, ...]:
    """Return every model's numbers on one task in one language."""
    return statistics.scores_of(answered(measured), draws)


def differences_of(all_measured: Sequence[Measured], draws: Draws) -> tuple[Difference, ...]:
    """Return each adapter against the base, by language and, with two or more, as their mean."""
    found = list(map(answered, all_measured))
    return _differences(
        [[one for one in found if one.task == name] for name in _tasks(found)], draws
    )


def write(results: Results, folder: Path, environment: Mapping[str, Any]) -> Path:
    """Write ``results.json``, ``items.parquet`` and ``lm_eval/<model>.json``; return the first."""
    numbers = ("scores", "differences", "averages", "groups", "group_differences", "baselines")
    whole = {
        "bactrian": __version__,
        "base": results.base,
        "models": results.models,
        **{name: [_plain(asdict(one)) for one in getattr(results, name)] for name in numbers},
        "histograms": [asdict(one) for one in results.histograms],
        "notes": results.notes,
        "environment": environment,
    }
    for stale in (folder / "lm_eval").glob("*.json"):
        if stale.stem not in results.models:
            stale.unlink()
    for model in results.models:
        told = lm_eval_shape(
            [score for score in results.scores if score.model == model],
            [one for one in results.averages if one.model == model and not one.group],
            results.base,
            "" if model == BASE else model,
        )
        write_text(folder / "lm_eval" / f"{model}.json", _json(told))
    # the items first: numbers without what they are made from would be another run's
    if results.answered:
        write_items(folder / NAME, results.answered)
    else:
        (folder / NAME).unlink(missing_ok=True)
    return write_text(folder / "results.json", _json(whole))


def read(path: Path) -> Results:
    """Read back what ``write`` wrote, today or before there were averages and groups."""
    told = json.loads(path.read_text(encoding="utf-8"))

    def scores(name: str) -> tuple[Score, ...]:
        return tuple(Score(**_bounded(one)) for one in told.get(name, ()))

    def differences(name: str) -> tuple[Difference, ...]:
        return tuple(Difference(**_bounded(one)) for one in told.get(name, ()))

    return Results(
        told["base"],
        tuple(told["models"]),
        scores("scores"),
        differences("differences"),
        tuple(told["notes"]),
        scores("averages"),
        scores("groups"),
        differences("group_differences"),
        scores("baselines"),
        tuple(map(_histogram, told.get("histograms", ()))),
    )


def _histogram(told: dict[str, Any]) -> Histogram:
    lists = {name: tuple(told[name]) for name in ("labels", "gold", "answers")}
    return Histogram(**{**told, **lists})


def _tasks(found: Sequence[Answered]) -> list[str]:
    return list(dict.fromkeys(one.task for one in found))


def _of(scores: Sequence[Score], one: Answered) -> list[Score]:
    return [each for each in scores if (each.task, each.language) == (one.task, one.language)]


def _adapters(task: Sequence[Answered]) -> list[str]:
    """Return the models that stand against the base in every language of the task."""
    shared = [model for model in task[0].nats if all(model in one.nats for one in task)]
    return [model for model in shared if model != BASE] if BASE in shared else []


def _differences(tasks: Sequence[Sequence[Answered]], draws: Draws) -> tuple[Difference, ...]:
    return tuple(
        one
        for task in tasks
        for model in _adapters(task)
        for one in statistics.differences_of(task, model, BASE, draws)
    )


def _averages(tasks: Sequence[Sequence[Answered]], draws: Draws) -> Iterator[Score]:
    for task in tasks:
        if len(task) > 1:
            yield from statistics.averages_of(task, draws)
            for group, parts in _by_group(task):
                main = metrics_of(parts[0])[0]
                if len(parts) > 1:
                    found = statistics.averages_of(parts, draws, group)
                    yield from (score for score in found if score.metric == main)


def _groups(found: Sequence[Answered], dirty: Dirty, draws: Draws) -> Iterator[Score]:
    for one in found:
        yield from statistics.group_scores(one, draws)
        ids = dirty.get((one.task, one.language), frozenset())
        every = {question.id for question in one.questions}
        for name, kept in ((CLEAN, every - ids), (DIRTY, every & ids)):
            if (one.task, one.language) in dirty and kept:
                main = metrics_of(one)[0]
                found_there = statistics.scores_of(one.part(kept), draws)
                yield from (replace(s, group=name) for s in found_there if s.metric == main)


def _group_differences(tasks: Sequence[Sequence[Answered]], draws: Draws) -> Iterator[Difference]:
    for task in tasks:
        for group, parts in _by_group(task):
            for model in _adapters(parts):
                last = statistics.differences_of(parts, model, BASE, draws)[-1]
                yield replace(last, group=group)


def _by_group(task: Sequence[Answered]) -> Iterator[tuple[str, list[Answered]]]:
    for group in dict.fromkeys(group for one in task for group in one.groups):
        yield group, [one.of_group(group) for one in task if group in one.groups]


def _notes(found: Sequence[Answered]) -> Iterator[str]:
    for one in found:
        if one.metric == "acc" and metrics_of(one) == ("acc",):
            yield f"{one.task} {one.language}: an option has no length, so there is no acc_norm"
    for task in _tasks(found):
        mine = [one for one in found if one.task == task and one.metric != "bits_per_byte"]
        tied = {f"{one.language}, {model}": ties(one, model) for one in mine for model in one.nats}
        if total := sum(tied.values()):
            most = max(tied, key=lambda where: tied[where])
            given = sum(len(one.questions) * len(one.nats) for one in mine)
            yield (
                f"{task}: {total:,} of {given:,} answers were ties, the first option was taken "
                f"(most in {most}: {tied[most]})"
            )


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """Return the number as JSON has it: an end that is not bounded is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in told.items()
    }


def _bounded(told: dict[str, Any]) -> dict[str, Any]:
    low = -math.inf if told["low"] is None else told["low"]
    high = math.inf if told["high"] is None else told["high"]
    return {**told, "low": low, "high": high}


def _json(told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
