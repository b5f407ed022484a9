"""What a plan computes, counted before the first step. Knows nothing of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """A micro-batch and its size; ``plan.step(step)[micro]`` are its rows."""

    step: int
    micro: int
    rows: int
    longest: int
    """Tokens of its longest row."""
    tokens: int
    """Tokens computed, padding counted."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a stretch of a training; two stretches add up."""

    steps: int
    micro_batches: int
    rows: Mapping[str, int]
    """Rows by language, a row counted as often as it is drawn."""
    tokens: Mapping[str, int]
    """Tokens by language, padding not counted."""
    padded_tokens: int
    """Tokens computed, padding counted."""
    largest: Extent
    """What takes the most memory."""
    smallest: Extent

    @property
    def useful_tokens(self) -> int:
        """Tokens of all languages, padding not counted."""
        return sum(self.tokens.values())

    @property
    def padding(self) -> float:
        """Share of what is computed that is padding."""
        return 1 - self.useful_tokens / self.padded_tokens

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.steps + other.steps,
            self.micro_batches + other.micro_batches,
            _sum(self.rows, other.rows),
            _sum(self.tokens, other.tokens),
            self.padded_tokens + other.padded_tokens,
            max(self.largest, other.largest, key=lambda extent: extent.tokens),
            min(self.smallest, other.smallest, key=lambda extent: extent.tokens),
        )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
