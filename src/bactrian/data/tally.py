"""What is counted while collections become tables: rows, what was set aside, left out, flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bactrian.data.marks import DEFECT
from bactrian.data.sources.collection import Read
from bactrian.schema import Flag

PARTS = ("rows", "set_aside", "left_out", "shortened", "defects", "marks")


@dataclass(frozen=True, slots=True)
class Counts:
    """One collection; every row read is in ``rows`` or in ``set_aside``."""

    shape: str = "auto"
    rows: Counter[str] = field(default_factory=Counter)
    """By language."""
    set_aside: Counter[str] = field(default_factory=Counter)
    """Rows that no language takes, by reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What the rows have beyond an example, by what it is: later turns, system messages, …"""
    shortened: Counter[str] = field(default_factory=Counter)
    """Rows that something was left out of, by the same names."""
    defects: Counter[str] = field(default_factory=Counter)
    """Defects of the English rows, by class; a row may have several."""
    marks: Counter[str] = field(default_factory=Counter)
    """What else is said of English rows: programming, tasks that translation destroys."""

    def count(self, read: Read, flags: Iterable[Flag] = ()) -> None:
        """Count a row that was written."""
        if read.set_aside:
            self.set_aside[read.set_aside.partition(":")[0]] += 1
        else:
            self.rows[read.example.language] += 1
        self.left_out.update(read.left_out)
        self.shortened.update(read.left_out.keys())
        for flag in flags:
            (self.defects if flag.check.startswith(DEFECT) else self.marks)[flag.check] += 1


def plain(counts: Mapping[str, Counts]) -> dict[str, Any]:
    """Return the counts by collection as plain JSON values."""
    return {
        name: {"shape": one.shape, **{part: dict(getattr(one, part)) for part in PARTS}}
        for name, one in counts.items()
    }


def read_back(facts: Mapping[str, Any]) -> dict[str, Counts]:
    """Return the counts that ``plain`` made."""
    return {
        name: Counts(one["shape"], *(Counter(one[part]) for part in PARTS))
        for name, one in facts.items()
    }


def together(counts: Iterable[Counter[str]]) -> dict[str, int]:
    """Return the sum over collections."""
    return dict(sum(counts, Counter()))
