"""A table of numbers as CSV: UTF-8, a header, a line for each cell that has a number.

Long rather than wide, so that a file of one table can be put under that of another, and with the
numbers as they are: not rounded beyond what the table shows of them.
"""

from __future__ import annotations

import csv
import io

from bactrian.evaluate.report.grid import Grid

HEADER = ("table", "group", "row", "column", "value", "low", "high", "n", "outcome", "note")
FORMULAS = ("=", "+", "-", "@", "\t")
"""A text that begins so is run as a formula by spreadsheets; an apostrophe is put before it."""


def render(grid: Grid) -> str:
    """Return the file's text; a cell without a number has its line, its value left empty."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(HEADER)
    said = {note.mark: note.text for note in grid.notes if note.mark}
    for group, line, column, number in grid.cells():
        where = [safe(text) for text in (grid.name, group.label, line.label, column.id)]
        if number is None:
            rows.writerow([*where, "", "", "", "", "", safe(grid.absent)])
            continue
        marks = dict.fromkeys(line.marks + number.marks)
        notes = [number.small, *(said.get(mark, "") for mark in marks)]
        ends = [_plain(end) for end in (number.low, number.high)]
        count = "" if number.n is None else str(number.n)
        told = safe("; ".join(filter(None, notes)))
        rows.writerow([*where, _plain(number.value), *ends, count, number.outcome or "", told])
    return file.getvalue()


def safe(text: str) -> str:
    """Return text that a spreadsheet shows and does not run, with one kind of line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULAS) else text


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
