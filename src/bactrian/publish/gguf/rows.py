"""The order of rows: where llama.cpp keeps the rows of a matrix otherwise than transformers.

An order changes the first axis alone, so that it serves a weight, its bias, and the B of a LoRA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Order = Callable[[Any], Any]


def by_pairs(heads: int) -> Order:
    """Return the order of rotary pairs: rows i and i + half of a head become neighbours.

    LLaMA's own checkpoints, and llama.cpp for their family, turn neighbours; transformers turns the
    two halves of a head against each other.
    """

    def order(tensor: Any) -> Any:
        rows, *rest = tensor.shape
        halves = tensor.reshape(heads, 2, rows // heads // 2, *rest)
        return halves.transpose(1, 2).reshape(tensor.shape)

    return order


def by_kind(heads: int) -> Order:
    """Return the order of a fused q, k, v: all of q first, where BLOOM has three rows of a head."""

    def order(tensor: Any) -> Any:
        rows, *rest = tensor.shape
        mixed = tensor.reshape(heads, 3, rows // heads // 3, *rest)
        return mixed.transpose(0, 1).reshape(tensor.shape)

    return order
