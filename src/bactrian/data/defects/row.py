"""What a rule looks at and what it finds. Knows no rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bactrian.schema import Example, Field, Flag

EVIDENCE = 200
"""Longest evidence a flag carries, in code points."""
_MARKER = (
    r"no[\s-]?inputs?(?:\s(?:is\s)?(?:required|needed|necessary|provided|given|available))?"
    r"|noinpute|none|n/a|not applicable"
)
NO_INPUT = re.compile(rf"[\s\W]*(?:{_MARKER})[\s\W]*", re.IGNORECASE)
"""An input that says, in words, that there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """A defect: where it is, why it is one, and the span that shows it."""

    field: Field
    reason: str
    evidence: str = ""
    start: int = 0

    def flag(self, check: str) -> Flag:
        """Return it as a flag of a rule, with the evidence cut to `EVIDENCE` code points."""
        return Flag(check, "warn", self.field, self.reason, self.evidence[:EVIDENCE], self.start)


Rule = Callable[[Example], Found | None]


def any_of(listed: str) -> str:
    """Return a pattern for one of several, which stand there with commas between them."""
    return "(?:" + "|".join(re.split(r",\s+", listed.strip())) + ")"


def at(field: Field, match: re.Match[str], reason: str) -> Found:
    """Return a find whose evidence is what a pattern matched."""
    return Found(field, reason, match[0], match.start())


def given(example: Example) -> str:
    """Return the input, or nothing where it only says that there is none."""
    stripped = example.input.strip()
    return "" if NO_INPUT.fullmatch(stripped) else stripped
