"""What a number is made of: columns that add up over items, and a value of their sums.

A measure of this kind can be resampled, averaged over languages and compared in one way only,
whatever it measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bactrian.errors import DataError
from bactrian.evaluate.metrics.estimates import Estimate, refuse_empty
from bactrian.evaluate.metrics.f1 import f1_scores
from bactrian.evaluate.metrics.sampling import (
    DRAWS,
    Floats,
    percentiles,
    resampled_sums,
)

Nats = Sequence[float] | npt.NDArray[np.floating[Any]]
Sizes = Sequence[int] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric as a function of sums."""

    metric: str
    value: Callable[[Floats], Floats]
    """Sums [..., columns] to values [...]."""
    higher_is_better: bool = True


def share(sums: Floats) -> Floats:
    """Return right answers by items of ``sums`` [..., 2]."""
    found: Floats = sums[..., 0] / sums[..., 1]
    return found


def bits(sums: Floats) -> Floats:
    """Return bits per byte of ``sums`` [..., 2], whose columns are nats and bytes."""
    ratio: Floats = sums[..., 0] / (math.log(2) * sums[..., 1])
    return ratio


ACCURACY = Measure("acc", share)
BITS = Measure("bits_per_byte", bits, higher_is_better=False)
F1_MACRO = Measure("f1_macro", lambda sums: f1_scores(sums)[0])
F1_WEIGHTED = Measure("f1_weighted", lambda sums: f1_scores(sums)[1])


def bits_per_byte(nats: Nats, sizes: Sizes, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Return ``sum(nats) / (ln 2 * sum(sizes))`` with a bootstrap over the items.

    ``nats`` [items] is minus the log-likelihood of each item's text, ``sizes`` [items] its UTF-8
    bytes. One item says nothing about the spread: its interval is 0 to infinity. Raises
    ``DataError`` for no items, unequal lengths, texts of no bytes, and nats that are negative.
    """
    table = np.column_stack(checked_cost(nats, sizes))
    n = len(table)
    value = float(bits(table.sum(axis=0)))
    if n == 1:
        return Estimate(value, 0.0, math.inf, n)
    low, high = percentiles(bits(resampled_sums(table, draws=draws, seed=seed)), n)
    return Estimate(value, low, high, n)


def checked_cost(nats: Nats, sizes: Sizes) -> tuple[Floats, Floats]:
    """Return both as float arrays of one length; raises ``DataError`` as ``bits_per_byte``."""
    costs = np.asarray(nats, dtype=np.float64)
    lengths = np.asarray(sizes, dtype=np.float64)
    hint = "hand over minus the log-likelihood (nats) and the UTF-8 bytes of each item"
    if costs.ndim != 1 or costs.shape != lengths.shape:
        raise DataError(f"{costs.size} likelihoods for {lengths.size} texts", hint)
    refuse_empty(costs.size)
    if not np.isfinite(costs).all() or bool((costs < 0).any()):
        raise DataError(f"item {_first(~(costs >= 0) | np.isinf(costs))} has no usable nats", hint)
    if bool((lengths <= 0).any()):
        raise DataError(f"item {_first(lengths <= 0)} is a text of no bytes", hint)
    return costs, lengths


def _first(bad: npt.NDArray[np.bool_]) -> int:
    return int(np.argmax(bad))
