"""From the scores of every item back to its text: what stands behind a number of a report.

The scores are in ``items.parquet``, the texts are asked of the tasks again, and only a question
whose hash is the one that was scored is shown. Loads no weights and computes no likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bactrian import table
from bactrian.errors import BactrianError, DataError
from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.evidence import Cost, Evidence, Question
from bactrian.languages import get
from bactrian.text import grapheme_count
from bactrian.workspace import Workspace

if TYPE_CHECKING:
    from bactrian.evaluate.answered import Answered
    from bactrian.evaluate.store import Store
    from bactrian.evaluate.tasks import Item, Task

WORST = 20
"""Items shown of a task in a language."""
BASE = "base"
SIDE = 3
"""Models whose numbers stand beside those of the focus model."""


def with_averages(report: Report, workspace: Workspace) -> Report:
    """Return the report with the averages, groups and baselines of the results, once each."""
    from bactrian.evaluate.results import read

    path = workspace.results / "results.json"
    if not path.is_file():
        return report
    results = read(path)
    scores = (*report.scores, *results.averages, *results.groups)
    differences = (*report.differences, *results.group_differences)
    return replace(
        report,
        scores=tuple(dict.fromkeys(scores)),
        differences=tuple(dict.fromkeys(differences)),
        baselines=results.baselines,
    )


def with_evidence(report: Report, workspace: Workspace, *, worst: int = WORST) -> Report:
    """Return the report with what stands behind its scores, as far as the texts are still there.

    What cannot be shown is left out and said in the notes.
    """
    from bactrian.evaluate.items import NAME, read_items

    path = workspace.results / NAME
    if not path.is_file():
        return _noted(report, "the results are of an earlier version; run bactrian eval")
    try:
        parts, tasks = read_items(path), _tasks(workspace)
    except BactrianError as error:
        return _noted(report, str(error))
    constant = _constants(workspace)
    found, notes = [], []
    with _store(workspace) as store:
        for part in parts:
            try:
                items = _items(tasks, part)
            except BactrianError as error:
                notes.append(f"{part.task} {part.language}: items are not shown: {error.problem}")
                continue
            evidence = _evidence(report, part, items, store, worst)
            equal = constant.get((part.task, part.language), {})
            found.append(replace(evidence, constant=equal))
    return replace(report, evidence=tuple(found), notes=(*report.notes, *notes))


def _noted(report: Report, why: str) -> Report:
    return replace(report, notes=(*report.notes, f"Single items are not shown: {why}"))


def _constants(workspace: Workspace) -> dict[tuple[str, str], dict[str, str]]:
    """Return which models' F1 is that of a constant answer, by task and language."""
    from bactrian.evaluate.results import read

    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in read(workspace.results / "results.json").histograms:
        if one.equals:
            found.setdefault((one.task, one.language), {})[one.model] = one.equals
    return found


def _tasks(workspace: Workspace) -> dict[str, Task]:
    from bactrian.evaluate.tasks.finding import tasks
    from bactrian.models.base import locate, tokenizer_of

    recipe = workspace.recipe
    chat = recipe.train.prompt == "chat"  # its template is the tokenizer's
    tokenizer = tokenizer_of(locate(recipe.train.base, network=recipe.network)) if chat else None
    return {task.name: task for task in tasks(workspace, tokenizer)}


@contextmanager
def _store(workspace: Workspace) -> Iterator[Store | None]:
    """Open the score store, which knows the tokens; None where only results were handed on."""
    from bactrian.evaluate.store import open_store

    path = workspace.results / "scores.sqlite"
    if not path.is_file():
        yield None
        return
    with open_store(path) as store:
        yield store


def _items(tasks: Mapping[str, Task], part: Answered) -> list[Item]:
    """Return the items of a part in its order; raises DataError where they are others now."""
    from bactrian.evaluate.tasks.finding import items as items_of

    again = "run bactrian eval again"
    if part.task not in tasks:
        raise DataError("the recipe no longer has the task", again)
    there = {item.id: item for item in items_of(tasks[part.task], get(part.language))}
    items = [there.get(question.id) for question in part.questions]
    for item, question in zip(items, part.questions, strict=True):
        if item is None or hash_of(item) != question.hash:
            raise DataError(f"{question.id} is no longer the question that was scored", again)
    return [item for item in items if item is not None]


def hash_of(item: Item) -> str:
    """Return what tells whether an item is still asked in the words that were scored."""
    return table.hash_of(item.pairs(), item.texts or item.options, item.gold)[:16]


def _evidence(
    report: Report, part: Answered, items: Sequence[Item], store: Store | None, worst: int
) -> Evidence:
    models = _shown(report, part)
    focus = models[-1] if len(models) == 1 else models[1]
    values = {model: [_value(part, model, at) for at in range(len(items))] for model in models}
    choice = part.metric != "bits_per_byte"
    order = sorted(
        range(len(items)), key=lambda at: values[focus][at] if choice else -values[focus][at]
    )
    questions = tuple(
        _question(items[at], tuple(values[m][at] for m in models), _picks(part, models, at))
        for at in order[:worst]
    )
    labels = _labels(part, items)
    return Evidence(
        task=part.task,
        language=part.language,
        items=len(items),
        models=models,
        focus=focus,
        worst=questions,
        cost=_cost(part, items, store),
        labels=labels,
        key=_counts([item.gold for item in items], len(labels)) if labels else (),
        picked=_picked(part, len(labels)) if labels else None,
        named=bool(part.labels),
        choice=choice,
    )


def _shown(report: Report, part: Answered) -> tuple[str, ...]:
    """Return the models whose numbers are shown: the base, then adapters, of the language first.

    The one after the base is in focus: its worst items are those shown.
    """
    adapters = [model for model in part.nats if model != BASE]
    own = [
        adapter.name
        for adapter in report.adapters
        if part.language in adapter.languages and adapter.name in adapters
    ]
    ordered = list(dict.fromkeys([*own, *adapters]))[: 1 + SIDE]
    return (*([BASE] if BASE in part.nats else []), *ordered)


def _value(part: Answered, model: str, at: int) -> float:
    nats, question = part.nats[model][at], part.questions[at]
    if part.metric == "bits_per_byte":
        return -nats[0] / (math.log(2) * max(1, question.sizes[0]))
    wrong = [value for place, value in enumerate(nats) if place != question.gold]
    return nats[question.gold] - max(wrong) if wrong else math.inf


def _picks(part: Answered, models: Sequence[str], at: int) -> tuple[int, ...]:
    if part.metric == "bits_per_byte":
        return ()
    return tuple(_pick(part.nats[model][at]) for model in models)


def _pick(nats: Sequence[float]) -> int:
    return nats.index(max(nats))


def _question(item: Item, values: tuple[float, ...], picked: tuple[int, ...]) -> Question:
    context, options = item.context, item.options
    if item.contexts:
        # what differs is the context: each is shown whole, as the option it stands for
        context, options = "", tuple(before + after for before, after in item.pairs())
    return Question(item.id, context, options, item.gold, values, picked)


def _labels(part: Answered, items: Sequence[Item]) -> tuple[str, ...]:
    """Return what the options are called, where all items have as many of them."""
    if part.metric == "bits_per_byte" or len({len(item.options) for item in items}) != 1:
        return ()
    return part.labels or tuple(f"option {at + 1}" for at in range(len(items[0].options)))


def _picked(part: Answered, labels: int) -> dict[str, tuple[int, ...]]:
    return {
        model: _counts([_pick(row) for row in rows], labels) for model, rows in part.nats.items()
    }


def _counts(places: Sequence[int], labels: int) -> tuple[int, ...]:
    return tuple(places.count(label) for label in range(labels))


def _cost(part: Answered, items: Sequence[Item], store: Store | None) -> Cost:
    texts = [option for item in items for option in item.options]
    characters = sum(map(grapheme_count, texts))
    size = sum(len(text.encode()) for text in texts)
    tokens, cut = _tokens(part.signature, store) if store else (0, 0)
    return Cost(len(items), tokens, characters, size, cut)


def _tokens(signature: str, store: Store) -> tuple[int, int]:
    """Return the tokens of all options and the items whose context was cut, of one signature.

    Tokens depend on the texts and the tokenizer alone, so any scorer's rows will do.
    """
    told = dict(field.partition(":")[::2] for field in signature.split("|"))
    prefix = told.get("texts", "")
    if not prefix:
        return 0, 0
    rows = store.connection.execute(
        "SELECT SUM(tokens), COUNT(DISTINCT CASE WHEN dropped > 0 THEN item END) FROM scores "
        "WHERE task >= ? AND task < ? GROUP BY scorer, task LIMIT 1",
        (prefix, f"{prefix}g"),
    ).fetchone()
    return (int(rows[0]), int(rows[1])) if rows else (0, 0)
