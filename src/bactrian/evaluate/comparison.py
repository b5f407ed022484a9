"""Two sides on everything that both answered: differences by language, averages, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.evaluate.answered import Answered
from bactrian.evaluate.compare import Pair
from bactrian.evaluate.confusion.compared import TASK, differences_of
from bactrian.evaluate.counted import metrics_of
from bactrian.evaluate.metrics import MACRO, MICRO, Draws
from bactrian.evaluate.sides import Side
from bactrian.evaluate.statistics import differences_between
from bactrian.schema import Difference

Parts = Mapping[str, Answered]
"""Language to answers."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, and what could not be compared."""

    differences: tuple[Difference, ...]
    """By task: each language, macro, micro, then the groups' macro averages."""
    notes: tuple[str, ...] = ()
    """Tasks and languages that only one side has, metrics that a task does not have."""


def compare_sides(
    ours: Side,
    theirs: Side,
    draws: Draws,
    *,
    tasks: tuple[str, ...] = (),
    metric: str = "",
) -> Comparison:
    """Return the differences ``ours`` minus ``theirs``, paired by item.

    ``tasks`` chooses among those that both have; ``metric`` is each task's main one where it is
    empty. Raises ConfigError for a task that neither has, DataError where the two share nothing or
    were asked different questions under one id.
    """
    shared = [key for key in ours.answered if key in theirs.answered]
    _known(tasks, ours, theirs)
    shared = [key for key in shared if not tasks or key[0] in tasks]
    spoken = any(code in theirs.said for code in ours.said) and (not tasks or TASK in tasks)
    if not shared and not spoken:
        raise DataError(
            f"{ours.name} and {theirs.name} share no task in any language",
            f"the first has {_told(ours)}; the second has {_told(theirs)}",
        )
    for key in shared:
        _same_questions(ours, theirs, key)
    found: list[Difference] = []
    notes = list(_alone(ours, theirs, tasks))
    for task in dict.fromkeys(task for task, _ in shared):
        codes = [language for name, language in shared if name == task]
        mine, other = (
            {code: side.answered[task, code] for code in codes} for side in (ours, theirs)
        )
        if metric and not all(
            metric in metrics_of(one) for one in (*mine.values(), *other.values())
        ):
            notes.append(f"{task} has no {metric}: it is left out")
            continue
        pair = Pair(ours.name, theirs.name, task)
        names = (ours.model, theirs.model)
        found += differences_between(
            pair, mine, other, draws, names=names, metric=metric, over=(MACRO, MICRO)
        )
        found += _of_groups(pair, mine, other, draws, names=names, metric=metric)
    if spoken:
        found += differences_of((ours.name, theirs.name), ours.said, theirs.said, draws, metric)
    if not found:
        raise DataError(
            f"no task that both have is measured by {metric}", "leave --metric out, or mend it"
        )
    return Comparison(tuple(found), tuple(notes))


def _of_groups(
    pair: Pair,
    ours: Parts,
    theirs: Parts,
    draws: Draws,
    *,
    names: tuple[str, str],
    metric: str,
) -> Iterator[Difference]:
    for group in dict.fromkeys(group for one in ours.values() for group in one.groups):
        codes = [code for code, one in ours.items() if group in one.groups]
        mine, other = (
            {code: side[code].of_group(group) for code in codes} for side in (ours, theirs)
        )
        found = differences_between(
            replace(pair, group=group), mine, other, draws, names=names, metric=metric
        )
        yield found[-1]


def _known(tasks: tuple[str, ...], *both: Side) -> None:
    known = {task for side in both for task, _ in side.tasks}
    for task in tasks:
        if task not in known:
            raise ConfigError(f"no results of {task}", did_you_mean(task, known))


def _same_questions(ours: Side, theirs: Side, key: tuple[str, str]) -> None:
    """Raise DataError where an id stands for another question on the other side."""
    asked = {question.id: question for question in theirs.answered[key].questions}
    for question in ours.answered[key].questions:
        other = asked.get(question.id)
        if other is not None and other.hash != question.hash:
            raise DataError(
                f"{' '.join(key)}: question {question.id} is not the same for {ours.name} and "
                f"{theirs.name}: its prompt, its options or its answer differ",
                "evaluate both with one prompt and the same data; the signatures say what differs",
            )


def _alone(ours: Side, theirs: Side, tasks: tuple[str, ...]) -> Iterator[str]:
    for side, other in ((ours, theirs), (theirs, ours)):
        only: dict[str, list[str]] = {}
        for task, language in side.tasks:
            if (task, language) not in other.tasks and (not tasks or task in tasks):
                only.setdefault(task, []).append(language)
        for task, codes in only.items():
            yield f"{task} {', '.join(codes)}: only {side.name} has it; it is not compared"


def _told(side: Side) -> str:
    return ", ".join(f"{task} {language}" for task, language in side.tasks) or "nothing"
