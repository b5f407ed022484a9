"""A table of numbers as HTML: groups of rows, columns in line, notes under it."""

from __future__ import annotations

from html import escape

from bactrian.evaluate.report.grid import Grid, Group, Heading, Line, Number
from bactrian.evaluate.report.words import MARKS

WIDE = 8
"""Columns beyond which an interval is written as its half."""


def table_of(grid: Grid) -> str:
    """Return the table in a frame that scrolls by itself where the page is narrow."""
    head = "".join(map(_heading, grid.columns))
    groups = "\n".join(_group(grid, group) for group in grid.groups)
    caption = escape(grid.caption)
    notes = "".join(f"<p>{_raised(note.mark)}{escape(note.text)}</p>" for note in grid.notes)
    id = f"{escape(grid.name)}-caption"
    # the caption stands outside the frame: it does not scroll away with the columns
    return (
        f'<h3 id="{id}">{caption}</h3>\n'
        f'<div class="grid-frame" role="region" tabindex="0" aria-labelledby="{id}">'
        f'<table class="grid" aria-labelledby="{id}">\n'
        f'<thead><tr><th scope="col">{escape(grid.stub)}</th>{head}</tr></thead>\n'
        f'{groups}\n</table></div>\n<div class="notes">{notes}</div>'
    )


def _heading(column: Heading) -> str:
    label = escape(column.label)
    if column.title and column.title != column.label:
        label = f'<abbr title="{escape(column.title)}">{label}</abbr>'
    return f'<th scope="col" class="number">{label}</th>'


def _group(grid: Grid, group: Group) -> str:
    width = len(grid.columns) + 1
    title = ""
    if group.label:
        head = f'<th colspan="{width}" scope="rowgroup"><span>{escape(group.label)}</span></th>'
        title = f'<tr class="group">{head}</tr>\n'
    rows = "\n".join(_line(grid, line) for line in group.lines)
    if not group.lines:
        rows = f'<tr><td class="absent" colspan="{width}">{escape(grid.absent)}</td></tr>'
    return f"<tbody>\n{title}{rows}\n</tbody>"


def _line(grid: Grid, line: Line) -> str:
    name = f'<th scope="row">{escape(line.label)}{_raised(line.marks)}</th>'
    if not any(line.numbers):
        cell = f'<td class="absent" colspan="{len(grid.columns)}">{escape(grid.absent)}</td>'
        return f"<tr>{name}{cell}</tr>"
    cells = "".join(_cell(grid, number) for number in line.numbers)
    return f"<tr>{name}{cells}</tr>"


def _cell(grid: Grid, number: Number | None) -> str:
    if number is None:
        return f'<td class="number absent">{escape(grid.absent)}</td>'
    text = grid.written(number.value)
    if number.outcome:
        text = f'<span class="{number.outcome}">{MARKS[number.outcome]} {text}</span>'
    small = [part for part in (_reach(grid, number), number.small) if part]
    below = "".join(f'<span class="small">{escape(part)}</span>' for part in small)
    return f'<td class="number">{text}{_raised(number.marks)}{below}</td>'


def _reach(grid: Grid, number: Number) -> str:
    if number.interval is None:
        return ""
    if len(grid.columns) <= WIDE:
        return grid.span(number)
    low, high = number.interval
    return f"±{(high - low) / 2:.1f}"


def _raised(marks: str) -> str:
    return f"<sup>{escape(','.join(marks))}</sup>" if marks else ""
