"""What a page is made of. Knows nothing of what it says, nor of HTML or Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from bactrian.evaluate.report import content
from bactrian.evaluate.report.evidence import Evidence
from bactrian.evaluate.report.grid import Grid
from bactrian.evaluate.report.words import Conclusion, Outcome


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """A verdict for each adapter."""

    conclusions: tuple[Conclusion, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table's cell: a text, and a smaller one under it."""

    text: str
    small: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, and whether it holds numbers."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a caption; the first cell of a row names it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart by its name, and what is to be seen in it."""

    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class Samples:
    """Instructions with the models' answers."""

    samples: tuple[content.Sample, ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands to copy."""

    commands: tuple[content.Command, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each point has a term in front, which may be empty."""

    points: tuple[tuple[str, str], ...]
    verbatim: bool = False
    """The points are signatures or paths, to be read letter by letter."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A table of numbers with its notes."""

    grid: Grid


@dataclass(frozen=True, slots=True)
class Share:
    """One bar: who gave the answers, and how many went to each label."""

    who: str
    counts: tuple[int, ...]
    key: bool = False
    """These are the right answers."""


@dataclass(frozen=True, slots=True)
class Bars:
    """How answers are spread over labels: the right ones, then each model's."""

    caption: str
    labels: tuple[str, ...]
    shares: tuple[Share, ...]
    language: str = ""
    """Of the labels."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """Single questions of one task in one language, and what each model made of them."""

    evidence: Evidence
    shown: int
    """How many of ``evidence.worst`` there is room for."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What is shown only when a reader asks for it."""

    summary: str
    blocks: tuple[Block, ...]


Block = (
    Prose | Findings | Table | Picture | Samples | Commands | Points | Numbers | Bars | Items | Fold
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A document: what it is called, and its sections in order."""

    title: str
    sections: tuple[Section, ...]
