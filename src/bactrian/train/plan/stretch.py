"""Steps that are built together: their rows, and how these fall into micro-batches.

The arrays of a stretch have one line a step, so 3.4 million rows take 27 MB and no list. Knows
nothing of how rows came into their steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bactrian.train.plan.counts import Counts, Extent
from bactrian.train.plan.packing import pack
from bactrian.train.plan.padding import pad
from bactrian.train.plan.shape import Shape
from bactrian.train.plan.steps import HOLE

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What is known of the rows of a training."""

    parts: Ints
    """Tokens of each part of a row that is padded apart, int32 [rows, parts]."""
    lengths: Ints
    """Tokens of each row, int32 [rows]."""
    languages: npt.NDArray[np.int16]
    """Index of each row's language in ``names``, int16 [rows]."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Consecutive steps of a plan."""

    rows: Ints
    """Row indices of each step, int32 [steps, rows]; HOLE where a step has fewer."""
    groups: Ints
    """The micro-batch each of them is in, from 0, int32 [steps, rows]; -1 for a HOLE."""

    def rows_of(self, place: int) -> Ints:
        """Return the rows of one step."""
        rows = self.rows[place]
        found: Ints = rows[rows != HOLE]
        return found

    def micro_batches(self, place: int) -> list[Ints]:
        """Return the rows of one step by micro-batch."""
        rows, groups = self.rows[place], self.groups[place]
        return [rows[groups == group] for group in range(int(groups.max()) + 1)]


def divide(rows: Ints, data: Data, shape: Shape) -> Stretch:
    """Return the steps with their micro-batches; ``rows`` are longest first in each step."""
    holes, budget = rows == HOLE, shape.micro_batch_tokens
    if shape.packing:
        sizes = np.where(holes, 0, data.lengths[rows])
        return Stretch(rows, pack(sizes, budget, shape.processes))
    parts = np.where(holes[:, :, None], 0, data.parts[rows])
    return Stretch(rows, pad(parts, budget, shape.processes))


def count(stretch: Stretch, data: Data, first: int, *, packing: bool) -> Counts:
    """Return what the steps compute; ``first`` is the number of the first of them in the plan."""
    kept = stretch.groups >= 0
    width = int(stretch.groups.max()) + 1
    steps = np.arange(len(stretch.groups), dtype=np.int64)[:, None]
    micro, rows = (steps * width + stretch.groups)[kept], stretch.rows[kept]
    size = len(stretch.groups) * width
    counts = np.bincount(micro, minlength=size)
    longest = _longest(micro, data.lengths[rows], size)
    if packing:
        tokens = np.bincount(micro, data.lengths[rows], minlength=size).astype(np.int64)
    else:
        tokens = counts * sum(_longest(micro, part[rows], size) for part in data.parts.T)

    def extent(at: int) -> Extent:
        step, group = divmod(at, width)
        return Extent(first + step, group, int(counts[at]), int(longest[at]), int(tokens[at]))

    return Counts(
        steps=len(stretch.groups),
        micro_batches=int(np.count_nonzero(counts)),
        rows=_by_language(data, rows, None),
        tokens=_by_language(data, rows, data.lengths[rows]),
        padded_tokens=int(tokens.sum()),
        largest=extent(int(tokens.argmax())),
        smallest=extent(int(np.where(counts > 0, tokens, tokens.max()).argmin())),
    )


class Stretches:
    """All stretches of a plan, each built when one of its steps is asked for; one is kept."""

    def __init__(self, size: int, build: Callable[[int], Stretch]) -> None:
        self.size = size
        self.build = build
        self._kept: tuple[int, Stretch] | None = None

    def get(self, index: int) -> Stretch:
        """Return one stretch."""
        kept = self._kept  # read once: another thread may go on to the next
        if kept is None or kept[0] != index:
            self._kept = None  # two at a time would double the memory
            kept = self._kept = (index, self.build(index))
        return kept[1]

    def at(self, step: int) -> tuple[Stretch, int]:
        """Return the stretch of a step, and its place there."""
        index, place = divmod(step, self.size)
        return self.get(index), place


def _longest(micro: npt.NDArray[np.int64], tokens: Ints, size: int) -> npt.NDArray[np.int64]:
    longest = np.zeros(size, dtype=np.int64)
    np.maximum.at(longest, micro, tokens)
    return longest


def _by_language(data: Data, rows: Ints, weights: Ints | None) -> dict[str, int]:
    sums = np.bincount(data.languages[rows], weights, minlength=len(data.names))
    return dict(zip(data.names, map(int, sums), strict=True))
