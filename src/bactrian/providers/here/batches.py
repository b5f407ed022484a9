"""Rows of unlike lengths in batches of few shapes, so that no answer depends on its neighbours.

Kernels round otherwise for other shapes, and a greedy decoder follows the rounding: in bfloat16 six
of eight continuations of 24 tokens changed with the batch. In one shape a row comes out the same to
the last bit, whatever stands beside it. So a row's length alone says how far it is padded and how
many rows its batch has; what is missing is filled with copies. Knows no model and no text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bactrian.errors import ProviderError
from bactrian.events import emit

Row = TypeVar("Row")
Made = TypeVar("Made")

STEP = 16


@dataclass(frozen=True, slots=True)
class Room:
    """What is computed at once where the options do not say."""

    tokens: int
    rows: int
    """A copy costs little up to here, as the weights are read once for all rows: on a CPU eight
    rows took 1.3 times as long as one in bfloat16, 2.6 times in float32."""

    def fit(self, told: int, each: int) -> int:
        """Return how many rows of ``each`` tokens fit, into the tokens that were told if any."""
        return told // each if told else min(self.tokens // each, self.rows)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are computed together."""

    edge: int
    """Tokens that each row is padded to."""
    rows: int
    """Rows that are computed, copies included."""
    places: tuple[int, ...]
    """Which of the rows that were given; at most ``rows``."""


def batches(lengths: Sequence[int], rows: Callable[[int], int], most: int) -> list[Batch]:
    """Return every row in one batch, the longest first.

    ``rows`` says how many rows of some tokens fit; ``most`` is the longest that a row is padded to.
    """
    by_edge: dict[int, list[int]] = defaultdict(list)
    for place, length in enumerate(lengths):
        by_edge[max(length, min(edge_of(length), most))].append(place)
    made = []
    for edge, places in sorted(by_edge.items(), reverse=True):
        fit = max(rows(edge), 1)
        for start in range(0, len(places), fit):
            made.append(Batch(edge, fit, tuple(places[start : start + fit])))
    return made


def edge_of(length: int) -> int:
    """Return the first of 16, 32, 48, 64, 96, 128, 192, 256 … that is no less than a length."""
    if length <= STEP:
        return STEP
    power = STEP << (-(-length // STEP) - 1).bit_length()
    return power * 3 // 4 if length <= power * 3 // 4 and power > 2 * STEP else power


def filled(rows: Sequence[Row], number: int) -> list[Row]:
    """Return the rows and as many copies of the first as are missing."""
    return [*rows, *(rows[0] for _ in range(number - len(rows)))]


def in_halves(
    rows: Sequence[Row], number: int, work: Callable[[Sequence[Row]], list[Made]]
) -> list[Made]:
    """Return what ``work`` makes of the rows, filled to ``number``; halved where memory runs out.

    Raises ProviderError where a single row is too much.
    """
    import torch

    try:
        return work(filled(rows, number))[: len(rows)]
    except torch.OutOfMemoryError as error:
        if number == 1:
            raise ProviderError(
                f"one text alone does not fit into the device's memory: {str(error)[:200]}",
                "use a smaller model, dtype = bfloat16, or a lower max_tokens or num_beams",
            ) from None
    # outside of the except block: what the failed attempt held is free by now
    torch.cuda.empty_cache()
    half = (number + 1) // 2
    emit(
        "warning",
        text=f"{number} rows do not fit into the device's memory, {half} are tried; lower "
        "options.batch_tokens to spare the attempt",
    )
    return [
        made
        for start in range(0, len(rows), half)
        for made in in_halves(rows[start : start + half], half, work)
    ]
