"""The order of training: a function of lengths, seed and epoch, known before the first step.

Knows nothing of tokens, models or devices. Going on after a stop is one integer: how many of these
micro-batches are done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

WINDOW = 64
"""Micro-batches' worth of rows that are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All micro-batches of a training, in order."""

    batches: tuple[tuple[int, ...], ...]
    """Row indices of each micro-batch."""
    accumulate: int
    """Micro-batches an optimizer step."""
    epochs: float
    useful_tokens: int
    """Tokens that are no padding, over the whole training."""
    padded_tokens: int
    """Tokens computed, padding included."""

    @property
    def steps(self) -> int:
        """Optimizer steps; the last may have fewer micro-batches."""
        return math.ceil(len(self.batches) / self.accumulate)

    @property
    def padding(self) -> float:
        """Share of what is computed that is padding."""
        return 1 - self.useful_tokens / self.padded_tokens


@dataclass(frozen=True, slots=True)
class Shape:
    """What the plan follows from, beside the lengths."""

    epochs: float
    max_steps: int
    batch_tokens: int
    micro_batch_tokens: int
    seed: int


def plan(lengths: np.ndarray[Any, Any], shape: Shape) -> Plan:
    """Return the micro-batches: each epoch a shuffle, cut by a budget of padded tokens.

    ``lengths`` [rows] are tokens a row; a row longer than the budget is a micro-batch of its own.
    """
    budget = min(shape.micro_batch_tokens, shape.batch_tokens)
    accumulate = shape.batch_tokens // budget
    batches: list[tuple[int, ...]] = []
    whole, part = divmod(shape.epochs, 1)
    for epoch in range(math.ceil(shape.epochs)):
        found = _epoch(lengths, budget, [shape.seed, epoch])
        if epoch == int(whole):
            found = found[: math.ceil(part * len(found))]
        batches += found
        if shape.max_steps and len(batches) >= shape.max_steps * accumulate:
            del batches[shape.max_steps * accumulate :]
            break
    useful = sum(int(lengths[list(batch)].sum()) for batch in batches)
    padded = sum(len(batch) * int(lengths[list(batch)].max()) for batch in batches)
    return Plan(tuple(batches), accumulate, shape.epochs, useful, padded)


def _epoch(
    lengths: np.ndarray[Any, Any], budget: int, seed: Sequence[int]
) -> list[tuple[int, ...]]:
    """Shuffle, sort by length inside windows (little padding), cut, shuffle the micro-batches."""
    import numpy as np

    chance = np.random.default_rng(seed)
    order = chance.permutation(len(lengths))
    rows = max(1, int(budget / lengths.mean())) * WINDOW
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(order), rows):
        window = order[start : start + rows]
        by_length = window[np.argsort(lengths[window], kind="stable")]
        batches += _cut(by_length, lengths, budget)
    return [batches[index] for index in chance.permutation(len(batches))]


def _cut(order: Iterable[int], lengths: Any, budget: int) -> list[tuple[int, ...]]:
    """Cut rows that get longer into micro-batches of at most ``budget`` padded tokens."""
    batches: list[tuple[int, ...]] = []
    current: list[int] = []
    for row in order:
        if current and (len(current) + 1) * int(lengths[row]) > budget:
            batches.append(tuple(current))
            current = []
        current.append(int(row))
    if current:
        batches.append(tuple(current))
    return batches
