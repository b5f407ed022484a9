"""What stands behind the numbers, as sections: how answers spread, what tokens cost, single items.

Knows no HTML and no Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bactrian.evaluate.report.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Fold,
    Items,
    Prose,
    Share,
    Table,
)
from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.evidence import Cost, Evidence, Question
from bactrian.evaluate.report.measured import folded
from bactrian.evaluate.report.words import task_name

ROOM = 3_000_000
"""Bytes that single items may take of a page."""
FEW_LABELS = 6
"""Labels beyond which bars could not be told apart."""


def spread(report: Report) -> Iterable[Block]:
    """Yield how often each label is right and how often each model gives it."""
    drawn = [one for one in report.evidence if one.picked and len(one.labels) <= FEW_LABELS]
    if not drawn:
        return
    yield Prose(
        "A model that favours one answer can score well without understanding anything. The first "
        "bar of each block is how often each answer is right; the others are what models answered."
    )
    for task, group in _by_task(drawn):
        bars = tuple(_bars(report, one) for one in group)
        if len(bars) <= 3:
            yield from bars
        else:
            yield Fold(f"{task_name(task)}: {len(bars)} languages", bars)


def _by_task(evidence: Sequence[Evidence]) -> Iterator[tuple[str, list[Evidence]]]:
    for task in dict.fromkeys(one.task for one in evidence):
        yield task, [one for one in evidence if one.task == task]


def _bars(report: Report, one: Evidence) -> Bars:
    shares = [Share("right answers", one.key, key=True)]
    picked = one.picked or {}
    shares += [Share(model, picked[model]) for model in one.models if model in picked]
    notes = [
        f"{model} gives “{one.labels[at]}” to every item."
        for model, counts in picked.items()
        for at, count in enumerate(counts)
        if count == one.items
    ]
    notes += [
        f"{model} has the F1 of always answering “{label}”."
        for model, label in (one.constant or {}).items()
    ]
    name = report.label(one.language).name
    language = one.language if one.named else "en"
    caption = f"{task_name(one.task)}, {name}: {one.items:,} items"
    return Bars(caption, one.labels, tuple(shares), language, " ".join(notes))


def costs(report: Report) -> Iterable[Block]:
    """Yield what the scored texts of each language cost in tokens."""
    known = [one for one in report.evidence if one.cost.tokens]
    if not known:
        return
    yield Prose(
        "What is scored in each language, in tokens of the base. Where items are translations of "
        "each other, tokens an item compare languages; many tokens a character mean that the base "
        "knows the script badly, and that everything in the language costs more."
    )
    for task, group in _by_task(known):
        least = min(_each(one.cost) for one in group)
        ordered = sorted(group, key=lambda one: _each(one.cost))
        table = Table(
            f"{task_name(task)}: what a language costs",
            (
                Column("Language"),
                Column("Tokens an item", numeric=True),
                Column("Times the cheapest", numeric=True),
                Column("Tokens a character", numeric=True),
                Column("Bytes a token", numeric=True),
                Column("Contexts cut", numeric=True),
            ),
            tuple(_cost_row(report, one, least) for one in ordered),
        )
        yield folded(table)


def _each(cost: Cost) -> float:
    return cost.tokens / max(1, cost.items)


def _cost_row(report: Report, one: Evidence, least: float) -> tuple[Cell, ...]:
    cost = one.cost
    return (
        Cell(report.label(one.language).name, one.language),
        Cell(f"{_each(cost):,.1f}"),
        Cell(f"{_each(cost) / least:.1f}"),
        Cell(f"{cost.tokens / max(1, cost.graphemes):.2f}"),
        Cell(f"{cost.bytes / cost.tokens:.1f}"),
        Cell(f"{cost.cut:,}"),
    )


def single_items(report: Report) -> Iterable[Block]:
    """Yield the questions that went worst, as many a language as the page has room for."""
    lists = [one for one in report.evidence if one.worst]
    if not lists:
        return
    shown = room_for(lists)
    most = max(len(one.worst) for one in lists)
    yield Prose(
        "The items on which a model did worst, by language. ✓ is the right option, and behind an "
        "option stands who chose it. A margin is the log-likelihood of the right option less that "
        "of the best wrong one: below zero the answer is wrong."
    )
    if shown < most:
        yield Prose(f"To keep the page light, {shown} of {most} are shown in each language.")
    for task, group in _by_task(lists):
        count = "1 language" if len(group) == 1 else f"{len(group)} languages"
        yield Fold(f"{task_name(task)}: {count}", tuple(Items(one, shown) for one in group))


def room_for(lists: Sequence[Evidence], room: int = ROOM) -> int:
    """Return how many items a list may have, at least one, so that all fit into ``room`` bytes."""
    longest = max(len(one.worst) for one in lists)
    for shown in range(longest, 1, -1):
        if sum(_size(question) for one in lists for question in one.worst[:shown]) <= room:
            return shown
    return 1


def _size(question: Question) -> int:
    """Return about how many bytes a question takes with its markup."""
    texts = sum(len(text.encode()[:1500]) for text in (question.context, *question.options))
    return texts + 120 + 45 * len(question.options) + 20 * len(question.values)
