"""Rows of unlike lengths in batches that fit into memory. Knows no model and no text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bactrian.errors import ProviderError

Row = TypeVar("Row")
Made = TypeVar("Made")


def micro_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return the places of the rows, the longest first, in batches of at most ``budget`` tokens.

    Tokens are counted with padding: the longest row of a batch times its rows. A row that is
    longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
            longest = max(lengths[place], 1)
    return batches


def in_halves(rows: Sequence[Row], work: Callable[[Sequence[Row]], list[Made]]) -> list[Made]:
    """Return what ``work`` makes of the rows; where memory runs out, of half of them at a time.

    Raises ProviderError where a single row is too much.
    """
    import torch

    try:
        return work(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise ProviderError(
                f"one text alone does not fit into the device's memory: {str(error)[:200]}",
                "use a smaller model, dtype = bfloat16, or a lower max_tokens or num_beams",
            ) from None
    # outside of the except block: what the failed attempt held is free by now
    torch.cuda.empty_cache()
    half = len(rows) // 2
    return [*in_halves(rows[:half], work), *in_halves(rows[half:], work)]
