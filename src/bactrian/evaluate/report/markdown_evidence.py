"""Numbers, single questions and the spread of answers as Markdown."""

from __future__ import annotations

from bactrian.evaluate.report.blocks import Bars, Items, Numbers
from bactrian.evaluate.report.content import LanguageLabel
from bactrian.evaluate.report.excerpt import excerpt
from bactrian.evaluate.report.grid import Grid, Line, Number
from bactrian.evaluate.report.html_evidence import RIGHT, margins, summary
from bactrian.evaluate.report.markdown_text import inline, line_of, literal, text_of
from bactrian.evaluate.report.words import MARKS

SHOWN = 3
"""Questions of a task in a language; the HTML page has more of them."""


def numbers(block: Numbers) -> str:
    """Return a table of numbers with its notes."""
    grid = block.grid
    head = line_of([inline(grid.stub), *(inline(column.label) for column in grid.columns)])
    rule = line_of(["---", *("---:" for _ in grid.columns)])
    rows = []
    for group in grid.groups:
        if group.label:
            rows.append(line_of([f"*{inline(group.label)}*", *("" for _ in grid.columns)]))
        rows += [_line(grid, line) for line in group.lines]
    notes = [
        f"- <sup>{note.mark}</sup> {inline(note.text)}" if note.mark else f"- {literal(note.text)}"
        for note in grid.notes
    ]
    table = "\n".join([f"**{inline(grid.caption)}**", "", head, rule, *rows])
    return "\n\n".join(filter(None, [table, "\n".join(notes)]))


def _line(grid: Grid, line: Line) -> str:
    return line_of(
        [inline(line.label) + _raised(line.marks), *(_cell(grid, one) for one in line.numbers)]
    )


def _cell(grid: Grid, number: Number | None) -> str:
    if number is None:
        return inline(grid.absent)
    mark = f"{MARKS[number.outcome]} " if number.outcome else ""
    small = "; ".join(filter(None, (grid.span(number), number.small)))
    below = f" <sub>{inline(small)}</sub>" if small else ""
    return f"{mark}{grid.written(number.value)}{_raised(number.marks)}{below}"


def _raised(marks: str) -> str:
    return f"<sup>{','.join(marks)}</sup>" if marks else ""


def items(block: Items, label: LanguageLabel) -> str:
    """Return the worst few questions of one task in one language."""
    one = block.evidence
    shown = one.worst[: min(block.shown, SHOWN)]
    head = f"**{inline(label.name)}**: {inline(summary(one, len(shown)))}"
    rows = []
    for question in shown:
        rows += [line_of((inline(question.id), inline(margins(one, question))))]
        if question.context:
            rows.append(line_of(("", text_of(excerpt(question.context, "start"), label))))
        for at, option in enumerate(question.options):
            mark = RIGHT if one.choice and at == question.gold else ""
            picks = zip(one.models, question.picked, strict=False)
            by = ", ".join(model for model, picked in picks if picked == at)
            told = inline(" ".join(filter(None, (mark, by))))
            rows.append(line_of((told, text_of(excerpt(option.strip(), "end"), label))))
    return "\n".join([head, "", line_of(("Item", "")), line_of(("---", "---")), *rows])


def bars(block: Bars) -> str:
    """Return how answers are spread over labels as a table of shares."""
    head = line_of(["", *map(inline, block.labels)])
    rule = line_of(["---", *("---:" for _ in block.labels)])
    rows = []
    for share in block.shares:
        total = sum(share.counts) or 1
        cells = (f"{100 * count / total:.0f} %" for count in share.counts)
        rows.append(line_of([inline(share.who), *cells]))
    table = "\n".join([f"**{inline(block.caption)}**", "", head, rule, *rows])
    return "\n\n".join(filter(None, [table, literal(block.note) if block.note else ""]))
