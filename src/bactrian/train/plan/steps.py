"""Which rows of an epoch meet in an optimizer step.

A window of shuffled rows is sorted by length and cut into strata of like size; every step takes
one run of neighbours from each. So every step has short and long rows in the same proportion and
nearly the same tokens (the loss does not swing with length, as it does where steps are sorted by
it), and yet a step can be padded with little waste. Which run a step gets is random at first; then
the longest goes where the fewest tokens are. Knows nothing of languages, micro-batches or memory.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bactrian.train.plan.chance import order

COMPOSE = 2
"""What a random order is for; sampling has 0 and 1."""
WINDOW = 128
"""Most steps whose rows are sorted together: more leave less padding, up to a point."""
WINDOWS = 4
"""Least windows of an epoch with as many steps: with one, every epoch would have the same steps."""
STRATA = 6
"""Runs of like length in a step: more make steps more even, fewer leave less padding."""
HOLE = -1
"""Stands for no row, at the end of a step that has one row less than others."""

Rows = npt.NDArray[np.int32]


def compose(rows: Rows, parts: Rows, steps: int, seed: int, epoch: int) -> Rows:
    """Return the rows of each step, longest first, int32 [steps, most rows of a step].

    ``rows`` [n] are an epoch in random order; ``parts`` [rows there are, parts] are tokens of what
    is padded apart (where there are several, rows alike in each come before the order by length).
    Steps have the same number of rows, or one less and a HOLE at the end.
    """
    lengths = parts.sum(axis=1, dtype=np.int32)
    windows = -(-steps // max(1, min(WINDOW, steps // WINDOWS)))
    firsts = np.arange(windows + 1, dtype=np.int64) * steps // windows
    begins = firsts * len(rows) // steps
    keys = order(steps, seed, COMPOSE, epoch)
    made = np.full((steps, -(-len(rows) // steps)), HOLE, dtype=np.int32)
    for window in range(windows):
        mine = rows[begins[window] : begins[window + 1]]
        first, end = int(firsts[window]), int(firsts[window + 1])
        mine = mine[np.argsort(-lengths[mine], kind="stable")]
        found = _window(mine, lengths, parts, end - first)
        # the first step would always have the longest row
        made[first:end, : found.shape[1]] = found[np.argsort(keys[first:end])]
    return made


def alike(rows: Rows, parts: Rows, pieces: int) -> Rows:
    """Bring rows together that are alike in every part, not in the sum of the parts alone.

    ``rows`` get shorter in all; ``pieces`` are what will be made of them.
    """
    if parts.shape[1] == 1:
        return rows
    sums = np.arange(len(rows)) * math.isqrt(pieces) // max(1, len(rows))
    return rows[np.lexsort((-parts[rows, 0], sums))]


def _window(rows: Rows, lengths: Rows, parts: Rows, steps: int) -> Rows:
    """Deal rows that get shorter to steps with nearly the same tokens."""
    made = np.full((steps, -(-len(rows) // steps)), HOLE, dtype=np.int32)
    load = np.zeros(steps, dtype=np.int64)
    edges = _edges(lengths[rows], steps)
    for first, end in pairwise(edges):
        runs = _runs(alike(rows[first * steps : end * steps], parts, steps), steps)
        lightest = np.argsort(load, kind="stable")
        made[lightest, first:end] = runs
        load[lightest] += np.where(runs == HOLE, 0, lengths[runs]).sum(axis=1)
    return made


def _edges(sizes: Rows, steps: int) -> list[int]:
    """Return where strata begin and end, in rows of one step.

    They are equal in the mean of their shares of tokens and of rows: of tokens alone, the shortest
    half of a step's rows would be a single run; of rows alone, the longest half of its tokens.
    """
    ranks = -(-len(sizes) // steps)
    tokens = np.zeros(ranks * steps, dtype=np.int64)
    tokens[: len(sizes)] = sizes
    # in whole numbers, so that edges are the same on every machine
    share = tokens.reshape(ranks, steps).sum(axis=1) * ranks
    weight = np.cumsum(share + int(tokens.sum()))
    inner = np.searchsorted(weight * STRATA, weight[-1] * np.arange(1, STRATA))
    return sorted({0, *map(int, inner), ranks})


def _runs(rows: Rows, steps: int) -> Rows:
    """Cut a stratum into a run of neighbours for each step, [steps, longest run]."""
    width = -(-len(rows) // steps)
    full = steps - (width * steps - len(rows))
    runs = np.full((steps, width), HOLE, dtype=np.int32)
    runs[:full] = rows[: full * width].reshape(full, width)
    runs[full:, : width - 1] = rows[full * width :].reshape(steps - full, width - 1)
    return runs
