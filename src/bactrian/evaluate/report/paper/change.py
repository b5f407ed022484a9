"""What training changed, in the paper and here: differences from the base, with their intervals."""

from __future__ import annotations

import math

from bactrian.evaluate.report.grid import Grid, Group, Line, Note, Number
from bactrian.evaluate.report.paper import Paper, Printed
from bactrian.evaluate.report.paper.beside import NO_RUN, THEIRS, Beside, headings
from bactrian.evaluate.report.words import Outcome

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


def grid(beside: Beside) -> Grid:
    """Return the paper's adapters minus their bases above ours minus theirs, by task."""
    paper, ours = beside.paper, beside.ours
    adapters = [model for model in ours.models if model != "base"]
    theirs = [
        Line(
            f"{beside.name(model)} − {beside.name(facts.base)}",
            tuple(_change(beside, table, model) for table in paper.tasks.values()),
        )
        for model, facts in paper.models.items()
        if facts.kind == "multi"
    ]
    mine = [
        Line(
            f"{model} − base",
            tuple(ours.change(model, ours.as_here(table)) for table in paper.tasks.values()),
        )
        for model in adapters
    ]
    return Grid(
        name="paper-changes",
        caption="Average difference from the base, in points",
        stub="Comparison",
        columns=headings(paper.tasks),
        groups=(
            Group(f"{THEIRS}, interval from the printed cells, not paired", tuple(theirs)),
            Group(f"This run, on {ours.report.base}, paired by item", tuple(mine)),
        ),
        decimals=1,
        signed=True,
        absent=NO_RUN,
        notes=_notes(paper),
    )


def _notes(paper: Paper) -> tuple[Note, ...]:
    return (
        Note("a", "The two rows were computed on different items: no comparison."),
        Note("", "SentimentX has no interval there: a weighted F1 does not tell the right answers "
             "behind it."),
        Note("", "Ours: over the languages measured; where they are not the paper's, it says so."),
        Note("", "Compare directions, not sizes: the paper's prompts were never published, and its "
             "numbers are no target."),
        Note("", f"Source: {paper.source}."),
    )  # fmt: skip


def _change(beside: Beside, table: Printed, model: str) -> Number | None:
    base = beside.paper.models[model].base
    ours, theirs = table.cells[model], table.cells[base]
    value = table.averages[model] - table.averages[base]
    if any(one.what == "items" for it in (model, base) for one in beside.about(it, table.task, 0)):
        return Number(value, marks="a")
    if table.metric != "acc":
        return Number(value)
    variance = sum(
        row[code] * (100 - row[code]) / table.items[code]
        for row in (ours, theirs)
        for code in table.languages
    )
    reach = Z95 * math.sqrt(variance) / len(table.languages)
    ended: Outcome = "noise" if abs(value) <= reach else "better" if value > 0 else "worse"
    return Number(value, value - reach, value + reach, outcome=ended)
