"""How the numbers were made, as a section: what is the same in all languages once, the rest by row.

Knows a signature as ``key:value|key:value`` and no key of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bactrian.evaluate.report.blocks import Block, Cell, Column, Points, Prose, Table
from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.measured import folded, language_cell
from bactrian.evaluate.report.words import task_name

Fields = Mapping[str, str]
"""A field's name to the field as it stands in the signature."""


def protocol(report: Report) -> Iterable[Block]:
    """Yield each task's signature: the shared fields, then a table of those that differ."""
    if not report.scores:
        return
    yield Prose("Every choice that can change a number. Equal signatures can be compared.")
    tasks = dict.fromkeys(score.task for score in report.scores)
    signed = {task: list(_signed(report, task)) for task in tasks}
    points = [(task_name(task), shared(rows)) for task, rows in signed.items()]
    methods = dict.fromkeys(one.method.partition("; ")[0] for one in report.differences)
    points += [("Intervals of differences", method) for method in methods]
    yield Points(tuple(points), verbatim=True)
    for task, rows in signed.items():
        yield from _table(report, task, rows)


def _signed(report: Report, task: str) -> Iterator[tuple[str, Fields]]:
    """Yield each language with the fields of its signature; twice where it has two of them."""
    mine = dict.fromkeys((one.language, one.signature) for one in report.scores if one.task == task)
    for language, signature in mine:
        yield language, {field.partition(":")[0]: field for field in signature.split("|")}


def shared(rows: Sequence[tuple[str, Fields]]) -> str:
    """Return the fields that all rows have alike, as a signature."""
    first = rows[0][1]
    return "|".join(
        field
        for name, field in first.items()
        if all(fields.get(name) == field for _, fields in rows)
    )


def _table(report: Report, task: str, rows: Sequence[tuple[str, Fields]]) -> Iterator[Block]:
    same = shared(rows).split("|")
    names = dict.fromkeys(name for _, fields in rows for name in fields)
    differ = [
        name
        for name in names
        if name != "lang" and any(fields.get(name, "") not in same for _, fields in rows)
    ]
    if not differ:
        return
    yield folded(
        Table(
            f"{task_name(task)}: what differs by language",
            (Column("Language"), *(Column(name) for name in differ)),
            tuple(
                (
                    language_cell(report, language),
                    *(Cell(fields.get(name, "–").partition(":")[2] or "–") for name in differ),
                )
                for language, fields in rows
            ),
        )
    )
