"""A table of numbers, before it is a page, LaTeX or CSV. Knows no model, no task and no markup."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bactrian.evaluate.report.words import Outcome


@dataclass(frozen=True, slots=True)
class Number:
    """What stands in a cell, in the scale it is shown in."""

    value: float
    low: float | None = None
    """Lower end of the 95 % interval, where there is one."""
    high: float | None = None
    n: int | None = None
    """Items behind it."""
    marks: str = ""
    """Letters of the notes that are about it."""
    small: str = ""
    """A word under it, such as how many languages an average has."""
    outcome: Outcome | None = None
    """Which way a difference went."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, where both of its ends are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands over a column."""

    id: str
    label: str
    """Short, such as a language's code."""
    title: str = ""
    """In full, where the label is short for something."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row: whose numbers they are, and one for each column; None where there is none."""

    label: str
    numbers: tuple[Number | None, ...]
    marks: str = ""
    """Letters of the notes that are about the whole row."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together; the label is empty where there is but one group."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence under the table and the letter that points at it; none for a general one."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of numbers with its notes."""

    name: str
    """Of its files, such as ``paper-table-8``."""
    caption: str
    stub: str
    """What stands over the labels of the rows."""
    columns: tuple[Heading, ...]
    groups: tuple[Group, ...]
    decimals: int = 1
    signed: bool = False
    """Differences: a plus stands before those above zero."""
    absent: str = "not measured"
    """What is said of a cell without a number."""
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a row that has not a cell for each column."""
        for group in self.groups:
            for line in group.lines:
                if len(line.numbers) != len(self.columns):
                    have = f"{len(line.numbers)} of {len(self.columns)} cells"
                    raise ValueError(f"{self.name}, {line.label}: {have}")

    def cells(self) -> Iterator[tuple[Group, Line, Heading, Number | None]]:
        """Yield every cell with where it stands, row by row."""
        for group in self.groups:
            for line in group.lines:
                for column, number in zip(self.columns, line.numbers, strict=True):
                    yield group, line, column, number

    def written(self, value: float) -> str:
        """Return a number as the table shows it, with a true minus."""
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        text = f"{abs(value):,.{self.decimals}f}"
        if float(text.replace(",", "")) == 0:
            return text
        return ("−" if value < 0 else "+" if self.signed else "") + text

    def span(self, number: Number) -> str:
        """Return a number's interval as the table shows it; empty where there is none."""
        if number.interval is None:
            return ""
        return " to ".join(self.written(end) for end in number.interval)
