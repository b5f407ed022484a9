"""What a page is made of. Knows nothing of what it says, nor of HTML or Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from bactrian.evaluate.report import content
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


Block = Prose | Findings | Table | Picture | Samples | Commands | Points


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    id: str
    title: str
    blocks: tuple[Block, ...]
