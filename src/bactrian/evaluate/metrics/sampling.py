"""Bootstrap and randomisation of sums over rows. Knows nothing of what the columns count.

Rows that are equal are drawn as one kind: a bootstrap sample of 20,559 right or wrong answers is
one multinomial draw over a few kinds, and 10,000 samples are one product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: two-sided 95 %."""
DRAWS = 10_000
CHUNK_CELLS = 1_000_000
"""Cells of the count matrix held at once: 8 MB as integers, as floats and as what is drawn."""
KEPT_CELLS = 8_000_000
"""Counts up to this size are kept, 16 MB: the next model on the same items needs the same ones."""
KIND_COST = 10
"""What drawing the count of a kind costs, in draws of a single row."""


@dataclass(frozen=True, slots=True)
class Draws:
    """How the bootstrap is drawn: the same seed gives the same interval."""

    count: int = DRAWS
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.count} draws, seed {self.seed}"


def resampled_sums(
    table: Floats, *, draws: int = DRAWS, seed: int = 0, strata: Labels | None = None
) -> Floats:
    """Return the column sums [draws, columns] of ``draws`` bootstrap samples of the rows.

    Columns of one row are drawn together, which is what pairs them. With ``strata`` [rows] every
    sample has as many rows of a stratum as there are. Memory: about 40 MB beside the answer, for
    any number of rows.
    """
    if strata is None:
        return _resampled(table, draws, seed, 0)
    sums = np.zeros((draws, table.shape[1]))
    for stratum in np.unique(strata):
        sums += _resampled(table[strata == stratum], draws, seed, int(stratum))
    return sums


def swapped_sums(table: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Return the sums [draws, 2, columns] when each row's two results change places by chance.

    ``table`` [rows, 2, columns] holds the results of two models. Were they alike, each of the
    draws would be as likely as what was measured (Noreen 1989, approximate randomisation).
    """
    whole, gap = table.sum(axis=0), table[:, 1] - table[:, 0]
    kinds, sizes = _kinds(gap)
    generator = np.random.default_rng((seed, 1))
    sums = np.empty((draws, *whole.shape))
    for at in _chunks(draws, len(kinds)):
        changed = generator.binomial(sizes, 0.5, size=(at.stop - at.start, len(kinds)))
        moved = changed.astype(np.float64) @ kinds
        sums[at, 0], sums[at, 1] = whole[0] + moved, whole[1] - moved
    return sums


def percentiles(values: Floats, n: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval that draws of ``n`` independent rows give.

    Plain percentiles are too narrow where n is small: the draws vary by sqrt((n - 1) / n) less than
    samples do, and have the normal's tails. They are taken further out, as far as Student's t
    reaches (Hesterberg 2015, expanded percentile): 2.5 % at n = 1000, 1.9 % at n = 30.
    """
    reach = math.sqrt(n / (n - 1)) * _student(n - 1)
    tail = NormalDist().cdf(-reach)
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _student(freedom: int) -> float:
    """Return the 97.5 % point of Student's t (Abramowitz & Stegun 26.7.5).

    To 0.0001 from 8 degrees of freedom, to 0.001 from 5, too small by 2 % at 3.
    """
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _resampled(table: Floats, draws: int, seed: int, stratum: int) -> Floats:
    kinds, sizes = _kinds(table)
    n = len(table)
    if len(kinds) * KIND_COST > n:
        return _rows_drawn(table, draws, (seed, 0, stratum))
    generator = np.random.default_rng((seed, 0, stratum))
    sums = np.empty((draws, table.shape[1]))
    for at in _chunks(draws, len(kinds)):
        counts = generator.multinomial(n, sizes / n, size=at.stop - at.start)
        np.matmul(counts.astype(np.float64), kinds, out=sums[at])
    return sums


def _rows_drawn(table: Floats, draws: int, seed: tuple[int, ...]) -> Floats:
    n = len(table)
    kept = _kept_counts(n, draws, seed) if n * draws <= KEPT_CELLS else None
    generator = np.random.default_rng(seed)
    sums = np.empty((draws, table.shape[1]))
    for at in _chunks(draws, n):
        counts = _counts(generator, n, at.stop - at.start) if kept is None else kept[at]
        np.matmul(counts.astype(np.float64), table, out=sums[at])
    return sums


@lru_cache(maxsize=2)
def _kept_counts(n: int, draws: int, seed: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    return _counts(np.random.default_rng(seed), n, draws)


def _counts(generator: np.random.Generator, n: int, draws: int) -> npt.NDArray[np.uint16]:
    """Return how often each row is drawn [draws, n]; no row is drawn 65,536 times."""
    counts = np.empty((draws, n), dtype=np.uint16)
    for at in _chunks(draws, n):
        rows = at.stop - at.start
        # numpy's own multinomial over n items takes ten times as long for the same distribution
        drawn = generator.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts[at] = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
    return counts


def _kinds(table: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return the different rows, in an order of their own, and how often each is there."""
    first, _, sizes = kinds_of(table)
    return table[first], sizes


def kinds_of(table: npt.NDArray[Any]) -> tuple[Labels, Labels, Labels]:
    """Return where each different row stands first, which of them each row is, and their counts."""
    plain = np.ascontiguousarray(table)
    as_bytes = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    _, first, which, sizes = np.unique(
        as_bytes, return_index=True, return_inverse=True, return_counts=True
    )
    return first, which, sizes


def _chunks(draws: int, width: int) -> Iterator[slice]:
    step = max(1, CHUNK_CELLS // width)
    for start in range(0, draws, step):
        yield slice(start, min(start + step, draws))
