"""What a check looks at: one row beside its English source. Knows no check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from bactrian import text
from bactrian.languages import Language
from bactrian.schema import Example, Field, Flag, Severity

EVIDENCE = 200
"""Longest evidence a flag carries, in code points."""


@dataclass(frozen=True)
class Checked:
    """A row, the English row with the same id, and the language it should be in.

    Where there is no English side (text collected in the language itself), ``source`` is an
    example with empty fields: the checks that compare then say nothing.
    """

    example: Example
    source: Example
    language: Language

    # What several checks need is worked out once. No slots: cached_property writes to __dict__.

    @cached_property
    def instruction_prose(self) -> str:
        """The instruction with code, addresses and numbers blanked; offsets are kept."""
        return text.prose(self.example.instruction)

    @cached_property
    def output_prose(self) -> str:
        """The output with code, addresses and numbers blanked; offsets are kept."""
        return text.prose(self.example.output)

    @cached_property
    def source_output_prose(self) -> str:
        """The English output with code, addresses and numbers blanked."""
        return text.prose(self.source.output)

    @cached_property
    def source_words(self) -> frozenset[str]:
        """Every word of the English row, case folded."""
        both = f"{self.source.instruction}\n{self.source.input}\n{self.source.output}"
        return frozenset(text.tokens(both.casefold()))

    @property
    def has_source(self) -> bool:
        """There is an English side to compare with."""
        return bool(self.source.instruction)

    @property
    def is_english(self) -> bool:
        """The row is its own source: nothing to compare with."""
        return self.language.code == "en"


Check = Callable[[Checked], Flag | None]
"""Looks at one row; returns what it found, the gravest first, or None."""


def prose_of(row: Checked, field: Field) -> str:
    """Return the prose of the instruction or of the output."""
    return row.output_prose if field == "output" else row.instruction_prose


def flag(
    check: str, severity: Severity, field: Field, reason: str, span: tuple[str, int] = ("", 0)
) -> Flag:
    """Return a flag whose evidence ``(text, start)`` is cut to `EVIDENCE` code points."""
    evidence, start = span
    return Flag(check, severity, field, reason, evidence[:EVIDENCE], start)
