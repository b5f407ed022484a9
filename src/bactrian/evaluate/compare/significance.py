"""How often chance alone would do as much: exact tests, randomisation, Holm, power."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bactrian.errors import DataError
from bactrian.evaluate.metrics import Z95, Floats

Z80 = 0.8416212335729143
"""The 80 % point of the normal distribution."""
TIE = 1e-12
"""Sums in another order differ by less; a draw this near counts as just as large."""


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided exact p of McNemar's test: are gains and losses a fair coin's?"""
    flips, fewer = gained + lost, min(gained, lost)
    ways = term = 1
    for k in range(fewer):
        term = term * (flips - k) // (k + 1)
        ways += term
    # integers of any size: their quotient is rounded once, where floats would underflow
    return min(1.0, 2 * ways / (1 << flips))


def exact_swap(gains: Sequence[int]) -> float:
    """Return the two-sided exact p of a total gain when each cluster's sign is a fair coin's.

    ``gains`` are right answers gained less those lost, by cluster. Where every cluster is one item
    this is McNemar's test; a pair of Winograd sentences can gain two at once, and is one throw.
    """
    sizes, counts = np.unique([abs(gain) for gain in gains if gain], return_counts=True)
    if not len(sizes):
        return 1.0
    if sizes.tolist() == [1]:
        gained = sum(gain > 0 for gain in gains)
        return mcnemar(gained, int(counts[0]) - gained)
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        step = np.zeros(2 * size * count + 1)
        step[:: 2 * size] = _coin(count)
        chances = np.convolve(chances, step)
    totals = np.abs(np.arange(len(chances)) - len(chances) // 2)
    return min(1.0, float(chances[totals >= abs(sum(gains))].sum()))


def randomised(measured: float, drawn: Floats) -> float:
    """Return the share of draws under no difference that are as large as what was measured.

    The measured one counts as a draw of its own, so that p is never 0 (Phipson & Smyth 2010).
    """
    as_large = int((np.abs(drawn) >= abs(measured) - TIE).sum())
    return (1 + as_large) / (1 + len(drawn))


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Return p values adjusted for all being looked at together (Holm 1979), in their order."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda at: ps[at])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return tuple(adjusted)


def smallest_detectable(n: int, discordant: float) -> float:
    """Return the smallest difference of accuracies that ``n`` items show with 80 % power at 5 %.

    ``discordant`` is the share of items (0 to 1) that exactly one of the two models gets right.
    Infinity where not even all of them falling to one side would show. Normal approximation to
    McNemar's test (Connor 1987). Raises ``DataError`` for no items or a share outside 0 to 1.
    """
    if n < 1 or not 0 <= discordant <= 1:
        raise DataError(
            f"no difference can be worked out for {n} items and a discordant share of {discordant}",
            "give at least one item and a share between 0 and 1",
        )
    # Z95 sqrt(share) + Z80 sqrt(share - d^2) = d sqrt(n), solved for d
    null = Z95 * math.sqrt(discordant)
    curve = n + Z80**2
    root = null**2 * n - curve * (null**2 - Z80**2 * discordant)
    smallest = (null * math.sqrt(n) + math.sqrt(max(root, 0.0))) / curve
    return smallest if 0 < smallest <= discordant else math.inf


def _coin(throws: int) -> Floats:
    """Return the chance [throws + 1] of each number of heads of a fair coin."""
    heads = np.arange(throws + 1)
    ways = np.array(
        [math.lgamma(throws + 1) - math.lgamma(k + 1) - math.lgamma(throws - k + 1) for k in heads]
    )
    chances: Floats = np.exp(ways - throws * math.log(2))
    return chances
