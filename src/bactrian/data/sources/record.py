"""One row of a file, whatever it holds, and where it stands there."""

from __future__ import annotations

from typing import Any, NamedTuple


class Record(NamedTuple):
    """One row of a file, whatever it is, and the line on which it begins."""

    line: int
    """From 1; the number of the row where the file has no lines."""
    value: Any
