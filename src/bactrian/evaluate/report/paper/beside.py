"""The paper and a run side by side: what every table of both is made from.

What is known to be wrong with a number stands under its table, marked with a letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase

from bactrian.evaluate.report.grid import Group, Heading, Line, Note, Number
from bactrian.evaluate.report.paper import Paper, Printed
from bactrian.evaluate.report.paper.check import Finding
from bactrian.evaluate.report.paper.ours import Ours
from bactrian.evaluate.report.words import task_name

THEIRS = "Li et al. (2023)"
NO_RUN = "no run"


@dataclass(slots=True)
class Marks:
    """Hands out a letter for each note of one table; the same note keeps its letter."""

    notes: dict[str, str] = field(default_factory=dict)

    def of(self, findings: Iterable[Finding], name: str) -> str:
        """Return the letters for what was found, in order."""
        return "".join(self.letter(f"{name}: {one.text}.") for one in findings)

    def letter(self, text: str) -> str:
        """Return the letter of one note."""
        return self.notes.setdefault(text, ascii_lowercase[len(self.notes) % 26])

    def listed(self, *general: str) -> tuple[Note, ...]:
        """Return the notes, those without a letter last."""
        marked = [Note(letter, text) for text, letter in self.notes.items()]
        return (*marked, *(Note("", text) for text in general))


@dataclass(frozen=True, slots=True)
class Beside:
    """The paper, what was found wrong with it, and the run to lay beside it."""

    paper: Paper
    found: tuple[Finding, ...]
    ours: Ours

    def name(self, model: str) -> str:
        """Return a row of the paper by its name."""
        return self.paper.models[model].name

    def about(self, model: str, task: str, number: int) -> tuple[Finding, ...]:
        """Return what was found about a row of a task's table, or of table ``number``."""
        tables = (number, self.paper.tasks[task].number)
        return tuple(
            one
            for one in self.found
            if (one.model, one.task) == (model, task) and one.table in tables
        )


def in_order(paper: Paper, rows: Iterable[str]) -> list[str]:
    """Return the paper's models in the order in which every table has them."""
    order = list(paper.models)
    return sorted(rows, key=order.index)


def ours_by(beside: Beside, row: Callable[[str], tuple[Number | None, ...]]) -> Group:
    """Return the group of our models, each with the numbers that ``row`` gives it."""
    lines = tuple(Line(model, row(model)) for model in beside.ours.models)
    return Group(f"This run, on {beside.ours.report.base}", lines)


def headings(tasks: Iterable[str]) -> tuple[Heading, ...]:
    """Return a column for each task."""
    return tuple(Heading(task, task_name(task)) for task in tasks)


def average(beside: Beside, table: Printed, model: str, languages: Sequence[str]) -> Number | None:
    """Return our average of one model on the task of a table, in its first variant here."""
    here = beside.ours.as_here(table)
    return beside.ours.average([model] * len(languages), here, languages)
