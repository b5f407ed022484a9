"""Which rows of a batch belong to which adapter. Knows nothing of tensors or layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Segment = tuple[str, int, int]
"""(adapter, first row, row after the last)."""


@dataclass(frozen=True, slots=True)
class Segments:
    """A batch cut by adapter; rows in no segment go through the base alone."""

    parts: tuple[Segment, ...]
    rows: int
    """Rows of the batch; tokens, where the batch is one packed row."""

    @property
    def adapters(self) -> frozenset[str]:
        """Every adapter that has rows."""
        return frozenset(adapter for adapter, _, _ in self.parts)

    def positions(self, shape: Sequence[int]) -> list[Segment]:
        """Return the segments over the positions of x [rows, length, width], flattened.

        x [1, tokens, width] is a packed row, x [rows * length, width] a batch flattened before.
        Raises ValueError for a shape that has other rows than the batch.
        """
        positions = _product(shape[:-1])
        told = shape[0] == self.rows or (shape[0] == 1 and positions == self.rows)
        if not told and (len(shape) != 2 or positions % self.rows):
            raise ValueError(f"x {tuple(shape)} is no batch of {self.rows} rows or tokens")
        each = positions // self.rows
        return [(adapter, first * each, end * each) for adapter, first, end in self.parts]


def segments(given: Sequence[Segment], rows: int | None = None) -> Segments:
    """Return a batch cut by adapter; neighbours of one adapter become one.

    ``rows`` is how many there are, by default those up to the end of the last segment. Raises
    ValueError for segments that are empty, overlap or are not in the order of the rows.
    """
    parts: list[Segment] = []
    at = 0
    for adapter, first, end in given:
        if not at <= first < end:
            raise ValueError(f"segment {(adapter, first, end)} does not follow row {at}")
        if parts and parts[-1][0] == adapter and parts[-1][2] == first:
            parts[-1] = (adapter, parts[-1][1], end)
        else:
            parts.append((adapter, first, end))
        at = end
    total = at if rows is None else rows
    if total < at:
        raise ValueError(f"the segments reach row {at} of {total}")
    return Segments(tuple(parts), total)


def _product(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
