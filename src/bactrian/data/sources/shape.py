"""The shape of a row: what its keys are, and what an example takes from it.

A shape is a class of one method and a few facts, found by name (``bactrian.shapes``). Which one
suits is told from the keys of the first rows. Knows no particular shape, no file, no language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bactrian import registry
from bactrian.data.sources.json_faults import kind_of
from bactrian.errors import DataError
from bactrian.events import emit

LOOKED_AT = 100
"""Rows that are looked at to tell the shape."""
KEYS_SHOWN = 12
"""Most keys that an error names."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
SURROGATE_HINT = "an emoji or a rare letter was cut in two there: mend that row"

RowOf = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a shape takes from a row."""

    instruction: str
    input: str = ""
    output: str = ""
    id: str = ""
    """As the row has it; empty where it has none."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What the row has beyond an example, by what it is: ``{"later turns": 2}``."""
    unusable: str = ""
    """Why no example can be made of the row; empty where one can."""


class Misfit(Exception):
    """A row that is not of the shape: what was expected, what was found."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


class Shape(Protocol):
    """Takes an example from a row; a class without arguments."""

    example: str
    """What a row looks like, for the hint of an error."""

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Return whether the first rows are of this shape and of no other one."""

    def take(self, row: RowOf) -> Taken:
        """Return what the row holds; raises Misfit where it is not of the shape."""


def shape_for(name: str, rows: Sequence[RowOf], collection: str) -> tuple[str, Shape]:
    """Return the name of the shape and the shape; ``auto`` looks at the rows and says what it took.

    Raises DataError where no shape fits or several do, ConfigError for an unknown name.
    """
    if name != "auto":
        return name, registry.find("shapes", name)()
    known = {one: registry.find("shapes", one)() for one in registry.names("shapes")}
    fitting = [one for one, shape in known.items() if rows and shape.fits(rows)]
    keys = _keys(rows)
    if len(fitting) != 1:
        many = f"fit several shapes: {', '.join(fitting)}" if fitting else "fit no known shape"
        raise DataError(
            f"{collection}: the rows, with the keys {keys}, {many}",
            f'say which one: shape = "…" under [sources.{collection}]; '
            f"known are: {', '.join(known)}",
        )
    emit("decision", text=f"{collection}: rows with {keys} are read as {fitting[0]}")
    return fitting[0], known[fitting[0]]


def text_of(row: RowOf, name: str, *, needed: bool = False) -> str:
    """Return the text under a key, empty where there is none; raises Misfit."""
    value = row.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        found = kind_of(value) if name in row else "nothing"
        raise Misfit(f'expected a text under "{name}", found {found}')
    return whole(value, name)


def whole(text: str, name: str) -> str:
    """Return the text as it is; raises Misfit where it holds half of a character."""
    if not text.isascii() and (half := LONE_SURROGATE.search(text)):
        raise Misfit(
            f'expected whole characters under "{name}", found half of one (\\u{ord(half[0]):04x})',
            SURROGATE_HINT,
        )
    return text


def id_of(row: RowOf, name: str = "id") -> str:
    """Return the id of a row, digits for a number, empty where there is none; raises Misfit."""
    value = row.get(name)
    return str(value) if type(value) is int else text_of(row, name)


def _keys(rows: Sequence[RowOf]) -> str:
    """Return the keys of the rows, those that most rows have first."""
    counted = Counter(key for row in rows for key in row)
    shown = [repr(key)[1:-1] for key, _ in counted.most_common(KEYS_SHOWN)]
    return ", ".join(shown) + (", …" if len(counted) > KEYS_SHOWN else "") or "(none)"
