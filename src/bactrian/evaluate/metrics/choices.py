"""Which option a model takes. Decided as lm-evaluation-harness decides: the first of the largest.

So numbers can be held side by side; ties are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bactrian.errors import DataError

Rule = Literal["acc", "acc_norm", "acc_bytes"]


@dataclass(frozen=True, slots=True)
class Options:
    """One multiple-choice item and what the model gave each option."""

    id: str
    texts: tuple[str, ...]
    """The options as ``acc_norm`` and ``acc_bytes`` measure them, without the space before."""
    log_likelihoods: tuple[float, ...]
    """Nats, summed over the tokens of each option."""
    gold: int
    """Index of the right option."""

    def __post_init__(self) -> None:
        """Raise ``DataError`` where the item cannot be decided."""
        hint = "score the item again, or leave it out of the task and say so"
        if not self.texts or len(self.texts) != len(self.log_likelihoods):
            counts = f"{len(self.texts)} options and {len(self.log_likelihoods)} log-likelihoods"
            raise DataError(f"item {self.id} has {counts}", hint)
        if not 0 <= self.gold < len(self.texts):
            raise DataError(f"item {self.id} calls option {self.gold} of {len(self.texts)}", hint)
        if any(math.isnan(value) for value in self.log_likelihoods):
            raise DataError(f"item {self.id} has a log-likelihood that is not a number", hint)


@dataclass(frozen=True, slots=True)
class Pick:
    """The option with the largest value; the first of them where several share it."""

    index: int
    tied: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """Right or wrong for each item, in order, and how many were decided by the tie rule."""

    ids: tuple[str, ...]
    correct: tuple[bool, ...]
    ties: int


def picked(values: Sequence[float], sizes: Sequence[int] = ()) -> Pick:
    """Return the option with the largest value, each divided by its size where sizes are given."""
    if sizes:
        values = [value / size for value, size in zip(values, sizes, strict=True)]
    top = max(values)
    return Pick(values.index(top), sum(value == top for value in values) > 1)


def pick(item: Options, rule: Rule = "acc") -> Pick:
    """Return the model's answer to one item.

    ``acc`` takes the summed log-likelihoods, ``acc_norm`` divides them by code points,
    ``acc_bytes`` by UTF-8 bytes. Raises ``DataError`` where an empty option has to be divided by.
    """
    return picked(item.log_likelihoods, () if rule == "acc" else _lengths(item, rule))


def mark(items: Iterable[Options], rule: Rule = "acc") -> Marks:
    """Decide every item by ``rule``; what comes back is as long as what went in."""
    ids: list[str] = []
    correct: list[bool] = []
    ties = 0
    for item in items:
        found = pick(item, rule)
        ids.append(item.id)
        correct.append(found.index == item.gold)
        ties += found.tied
    return Marks(tuple(ids), tuple(correct), ties)


def longest(characters: Sequence[int]) -> int:
    """Return the option of the most code points, the first of them: an answer without reading."""
    return max(range(len(characters)), key=lambda option: (characters[option], -option))


def _lengths(item: Options, rule: Rule) -> list[int]:
    measure = [len(text.encode()) if rule == "acc_bytes" else len(text) for text in item.texts]
    if 0 in measure:
        raise DataError(
            f"item {item.id}: option {measure.index(0)} is empty, {rule} divides by its length",
            "report acc for this task",
        )
    return measure
