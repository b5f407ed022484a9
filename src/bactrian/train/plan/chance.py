"""Random orders that are the same on every machine and under every version of NumPy.

They are made of PCG64's raw stream, which NumPy promises to keep; what its Generator makes of it
(``permutation``, ``shuffle``) it may change, and a training would go on in another order after an
upgrade. Knows nothing of rows or languages.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.int64]


def order(count: int, seed: int, *path: int) -> Order:
    """Return the numbers below ``count`` in random order; ``path`` says what it is for."""
    return np.argsort(_stream(seed, path).random_raw(count), kind="stable")


def orders(count: int, laps: range, seed: int, *path: int) -> Order:
    """Return the orders of these laps of an endless sequence of orders, [laps, count].

    Any lap is found without those before it.
    """
    stream = _stream(seed, path)
    stream.advance(laps.start * count)
    keys = stream.random_raw(len(laps) * count).reshape(len(laps), count)
    return np.argsort(keys, axis=1, kind="stable")


def _stream(seed: int, path: tuple[int, ...]) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence(seed % 2**64, spawn_key=path))
