"""What was found in a folder or file: good, worth knowing, or wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str
    do: str = ""
    """The next step; empty where all is well."""


class Damaged(Exception):
    """Something that cannot be read on from; carries the fault."""

    def __init__(self, text: str, do: str) -> None:
        super().__init__(text)
        self.finding = Finding("fault", text, do)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one place."""

    place: Path
    kind: str
    """LoRA adapter, model, GGUF model, GGUF adapter, state dict; unknown where it is none."""
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        """How many things are wrong."""
        return sum(one.level == "fault" for one in self.findings)


def ok(text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("ok", text)


def note(text: str, do: str = "") -> Finding:
    """Return a finding that somebody should know of."""
    return Finding("note", text, do)


def fault(text: str, do: str) -> Finding:
    """Return a finding of something wrong."""
    return Finding("fault", text, do)


def some(names: Iterable[str], most: int = 2) -> str:
    """Return the first of some names, and how many more there are."""
    told = sorted(names)
    more = len(told) - most
    return ", ".join(told[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, one: str, many: str = "") -> str:
    """Return ``1 tensor``, ``2 tensors``; ``many`` where it is not formed with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
