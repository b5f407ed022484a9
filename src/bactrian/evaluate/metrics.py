"""Numbers over per-item results, each with its n and a 95 % interval.

Knows nothing of models, languages, prompts or files: it is given what an engine measured for each
item. Multiple choice is decided as lm-evaluation-harness decides it (first of the largest), so that
numbers can be held side by side; ties are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bactrian.errors import DataError
from bactrian.schema import Score

Floats = npt.NDArray[np.float64]
Nats = Sequence[float] | npt.NDArray[np.floating[Any]]
Sizes = Sequence[int] | npt.NDArray[np.integer[Any]]
Rule = Literal["acc", "acc_norm", "acc_bytes"]

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: two-sided 95 %."""
DRAWS = 10_000
CHUNK_CELLS = 2_000_000
"""Cells of the count matrix held at once: 32 MB as 8-byte integers and as floats."""


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
        )


@dataclass(frozen=True, slots=True)
class Options:
    """One multiple-choice item and what the model gave each option."""

    id: str
    texts: tuple[str, ...]
    """The options as ``acc_norm`` and ``acc_bytes`` measure them, without the space before."""
    log_likelihoods: tuple[float, ...]
    """Nats, summed over the tokens of each option."""
    gold: int
    """Index of the right option."""

    def __post_init__(self) -> None:
        """Raise ``DataError`` where the item cannot be decided."""
        hint = "score the item again, or leave it out of the task and say so"
        if not self.texts or len(self.texts) != len(self.log_likelihoods):
            counts = f"{len(self.texts)} options and {len(self.log_likelihoods)} log-likelihoods"
            raise DataError(f"item {self.id} has {counts}", hint)
        if not 0 <= self.gold < len(self.texts):
            raise DataError(f"item {self.id} calls option {self.gold} of {len(self.texts)}", hint)
        if any(math.isnan(value) for value in self.log_likelihoods):
            raise DataError(f"item {self.id} has a log-likelihood that is not a number", hint)


@dataclass(frozen=True, slots=True)
class Pick:
    """The option with the largest value; the first of them where several share it."""

    index: int
    tied: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """Right or wrong for each item, in order, and how many were decided by the tie rule."""

    ids: tuple[str, ...]
    correct: tuple[bool, ...]
    ties: int


def pick(item: Options, rule: Rule = "acc") -> Pick:
    """Return the model's answer to one item.

    ``acc`` takes the summed log-likelihoods, ``acc_norm`` divides them by code points,
    ``acc_bytes`` by UTF-8 bytes. Raises ``DataError`` where an empty option has to be divided by.
    """
    values = item.log_likelihoods
    if rule != "acc":
        values = tuple(v / n for v, n in zip(values, _lengths(item, rule), strict=True))
    top = max(values)
    return Pick(values.index(top), values.count(top) > 1)


def mark(items: Iterable[Options], rule: Rule = "acc") -> Marks:
    """Decide every item by ``rule``; what comes back is as long as what went in."""
    ids: list[str] = []
    correct: list[bool] = []
    ties = 0
    for item in items:
        picked = pick(item, rule)
        ids.append(item.id)
        correct.append(picked.index == item.gold)
        ties += picked.tied
    return Marks(tuple(ids), tuple(correct), ties)


def accuracy(correct: Sequence[bool]) -> Estimate:
    """Return the share of right answers with its Wilson interval (Wilson 1927).

    Raises ``DataError`` for no items.
    """
    return wilson(sum(map(bool, correct)), len(correct))


def wilson(successes: int, n: int) -> Estimate:
    """Return ``successes / n`` with the Wilson score interval, exact at its ends 0 and 1."""
    _refuse_empty(n)
    if not 0 <= successes <= n:
        raise DataError(f"{successes} right answers among {n} items", "count the items again")
    share = successes / n
    weight = Z95**2 / n
    centre = (share + weight / 2) / (1 + weight)
    reach = Z95 * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == n else centre + reach
    return Estimate(share, low, high, n)


def bits_per_byte(nats: Nats, sizes: Sizes, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Return ``sum(nats) / (ln 2 * sum(sizes))`` with a percentile bootstrap over the items.

    ``nats`` [items] is minus the log-likelihood of each item's text, ``sizes`` [items] its UTF-8
    bytes. One item says nothing about the spread: its interval is 0 to infinity. Raises
    ``DataError`` for no items, unequal lengths, texts of no bytes, and nats that are negative.
    """
    table = np.column_stack(checked_cost(nats, sizes))
    n = len(table)
    value = float(bits(table.sum(axis=0)))
    if n == 1:
        return Estimate(value, 0.0, math.inf, n)
    low, high = percentiles(bits(resampled_sums(table, draws=draws, seed=seed)))
    return Estimate(value, low, high, n)


def checked_cost(nats: Nats, sizes: Sizes) -> tuple[Floats, Floats]:
    """Return both as float arrays of one length; raises ``DataError`` as ``bits_per_byte``."""
    costs = np.asarray(nats, dtype=np.float64)
    lengths = np.asarray(sizes, dtype=np.float64)
    hint = "hand over minus the log-likelihood (nats) and the UTF-8 bytes of each item"
    if costs.ndim != 1 or costs.shape != lengths.shape:
        raise DataError(f"{costs.size} likelihoods for {lengths.size} texts", hint)
    _refuse_empty(costs.size)
    if not np.isfinite(costs).all() or bool((costs < 0).any()):
        raise DataError(f"item {_first(~(costs >= 0) | np.isinf(costs))} has no usable nats", hint)
    if bool((lengths <= 0).any()):
        raise DataError(f"item {_first(lengths <= 0)} is a text of no bytes", hint)
    return costs, lengths


def bits(sums: Floats) -> Floats:
    """Return bits per byte of ``sums`` [..., 2], whose columns are nats and bytes."""
    ratio: Floats = sums[..., 0] / (math.log(2) * sums[..., 1])
    return ratio


def resampled_sums(table: Floats, *, draws: int = DRAWS, seed: int | Sequence[int] = 0) -> Floats:
    """Return the column sums [draws, columns] of ``draws`` bootstrap samples of the rows.

    A sample is a row of multinomial counts, so a draw costs one count and one product however many
    columns share it (which is what pairs them). Memory: about 40 MB beside the answer, for any n.
    """
    n = len(table)
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_CELLS // n)
    sums = np.empty((draws, table.shape[1]))
    counts = np.empty((min(chunk, draws), n))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        for row in range(rows):
            # one draw at a time: three times faster than numpy's multinomial, same distribution
            counts[row] = np.bincount(generator.integers(0, n, size=n), minlength=n)
        np.matmul(counts[:rows], table, out=sums[start : start + rows])
    return sums


def percentiles(values: Floats) -> tuple[float, float]:
    """Return the 2.5 % and the 97.5 % point of the draws."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _lengths(item: Options, rule: Rule) -> list[int]:
    measure = [len(text.encode()) if rule == "acc_bytes" else len(text) for text in item.texts]
    if 0 in measure:
        raise DataError(
            f"item {item.id}: option {measure.index(0)} is empty, {rule} divides by its length",
            "report acc for this task",
        )
    return measure


def _first(bad: npt.NDArray[np.bool_]) -> int:
    return int(np.argmax(bad))


def _refuse_empty(n: int) -> None:
    if n == 0:
        raise DataError(
            "there are no items to make a number of",
            "look at the task's file and at the limit that was set on the number of items",
        )
