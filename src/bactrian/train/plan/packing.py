"""Packs the rows of a step into micro-batches that lie end to end, without padding.

As few micro-batches as best-fit decreasing finds (for several processes: the next multiple of
them), and then as even as the longest row to the emptiest makes them: an even step has the lowest
peak of memory, and all processes have as much to do.
Knows nothing of which rows they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Groups = npt.NDArray[np.int32]
Sizes = npt.NDArray[np.int64]


def pack(sizes: npt.NDArray[np.int32], budget: int, processes: int = 1) -> Groups:
    """Return the micro-batch of each row, int32 [steps, rows]; holes stand in none, which is -1.

    ``sizes`` [steps, rows] are tokens, longest row first, holes of no tokens last. The rows of a
    micro-batch add up to at most ``budget``; a row that is longer by itself is alone.
    """
    fitted = np.minimum(sizes, budget).astype(np.int64)
    groups = _best_fit(fitted, budget)
    counts = -(-(groups.max(axis=1) + 1) // processes) * processes
    even, heaviest = _even(fitted, counts)
    fits = heaviest <= budget
    groups[fits] = even[fits]
    groups[sizes == 0] = -1
    return groups


def _best_fit(sizes: Sizes, budget: int) -> Groups:
    """Put each row where the least room is left after it."""
    steps, ranks = sizes.shape
    # any two micro-batches hold more than one budget, or the second had not been opened
    most = int(min(ranks, 2 * sizes.sum(axis=1).max() // budget + 1))
    room = np.full((steps, most), budget, dtype=np.int64)
    groups, every = np.empty((steps, ranks), dtype=np.int32), np.arange(steps)
    for rank in range(ranks):
        size = sizes[:, rank]
        fits = room >= size[:, None]
        place = np.where(fits, room, budget + 1).argmin(axis=1)
        room[every, place] -= size
        groups[:, rank] = place
    return groups


def _even(sizes: Sizes, counts: npt.NDArray[np.integer]) -> tuple[Groups, Sizes]:
    """Put each row where the fewest tokens are; return the places and the heaviest [steps]."""
    steps, ranks = sizes.shape
    closed = np.arange(counts.max()) >= counts[:, None]
    full = np.iinfo(np.int64).max // 2
    load = np.where(closed, full, 0)
    groups, every = np.empty((steps, ranks), dtype=np.int32), np.arange(steps)
    for rank in range(ranks):
        place = load.argmin(axis=1)
        load[every, place] += sizes[:, rank]
        groups[:, rank] = place
    return groups, np.where(closed, 0, load).max(axis=1)
