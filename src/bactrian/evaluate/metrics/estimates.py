"""A value with its interval and n, and the share of right answers. Draws nothing at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bactrian.errors import DataError
from bactrian.evaluate.metrics.sampling import Z95
from bactrian.schema import Score


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its 95 % interval and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a number belongs: whose it is, on what, and how it was measured."""

    model: str
    task: str
    language: str
    signature: str
    group: str = ""

    def score(self, metric: str, estimate: Estimate, *, higher_is_better: bool = True) -> Score:
        """Return the estimate as a ``Score`` of this cell."""
        return Score(
            model=self.model,
            task=self.task,
            language=self.language,
            metric=metric,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            n=estimate.n,
            signature=self.signature,
            higher_is_better=higher_is_better,
            group=self.group,
        )


def accuracy(correct: Sequence[bool], clusters: Sequence[str] = ()) -> Estimate:
    """Return the share of right answers with its Wilson interval (Wilson 1927).

    Where items are forms of one question (``clusters`` names it for each) and are right or wrong
    together, the interval is that of fewer items: n over the design effect (Kish 1965), which is
    never taken below 1. Raises ``DataError`` for no items.
    """
    n = len(correct)
    right = sum(map(bool, correct))
    plain = wilson(right, n)
    if right in (0, n) or len(set(clusters)) in (0, n):
        return plain
    sums: dict[str, float] = {}
    for hit, cluster in zip(correct, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + bool(hit) - plain.value
    effect = sum(value**2 for value in sums.values()) / (n * plain.value * (1 - plain.value))
    return _interval(plain.value, n, n / max(1.0, effect))


def wilson(successes: int, n: int) -> Estimate:
    """Return ``successes / n`` with the Wilson score interval, exact at its ends 0 and 1."""
    refuse_empty(n)
    if not 0 <= successes <= n:
        raise DataError(f"{successes} right answers among {n} items", "count the items again")
    return _interval(successes / n, n, n)


def refuse_empty(n: int) -> None:
    """Raise ``DataError`` for no items."""
    if n == 0:
        raise DataError(
            "there are no items to make a number of",
            "look at the task's file and at the limit that was set on the number of items",
        )


def _interval(share: float, n: int, effective: float) -> Estimate:
    weight = Z95**2 / effective
    centre = (share + weight / 2) / (1 + weight)
    reach = Z95 * math.sqrt(share * (1 - share) / effective + weight / (4 * effective))
    low = 0.0 if share == 0 else centre - reach / (1 + weight)
    high = 1.0 if share == 1 else centre + reach / (1 + weight)
    return Estimate(share, low, high, n)
