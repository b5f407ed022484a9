"""Two models on the same items: the difference, its interval, and whether it is beyond the noise.

Always paired: an item counts only with both models' results, and ids that only one of them has are
refused, not dropped. Knows nothing of what the models are, nor of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from bactrian.errors import DataError
from bactrian.evaluate.metrics import (
    DRAWS,
    Z95,
    Floats,
    bits,
    checked_cost,
    percentiles,
    resampled_sums,
)
from bactrian.schema import Difference

MACRO = "macro"
"""The language of a number that averages over languages, each with the same weight."""
Z80 = 0.8416212335729143
"""The 80 % point of the normal distribution."""
ALPHA = 0.05
COLUMNS = 4
"""Of a paired table: numerator and denominator of the model, then of the one it is held against."""
Statistic = Callable[[Floats], Floats]
Items = TypeVar("Items")


@dataclass(frozen=True, slots=True)
class Pair:
    """Which two models, on which task, in which language."""

    model: str
    against: str
    task: str
    language: str = MACRO


@dataclass(frozen=True, slots=True)
class Draws:
    """How the bootstrap is drawn: the same seed gives the same interval."""

    count: int = DRAWS
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.count} draws, seed {self.seed}"


class Cost(NamedTuple):
    """What the text of one item costs a model."""

    nats: float
    """Minus the log-likelihood of the text."""
    size: int
    """UTF-8 bytes of the text."""


Correct = Mapping[str, bool]
"""Item id to right or wrong."""
Costs = Mapping[str, Cost]
"""Item id to what its text costs."""


class _Table(NamedTuple):
    """The paired results of one language: a row of ``values`` [items, COLUMNS] for each id."""

    ids: tuple[str, ...]
    values: Floats


def accuracy_difference(
    pair: Pair, model: Correct, against: Correct, *, metric: str = "acc", draws: Draws | None = None
) -> Difference:
    """Return the difference of two accuracies (-1 to 1), paired by item id.

    The interval is a percentile bootstrap over items. Where it excludes zero and the exact McNemar
    test (p in ``method``) does not, it is drawn out to zero: with few items the two disagree, and
    a difference is clear only where both say so. Raises ``DataError`` for no items and for ids
    that only one of the models has.
    """
    table = _correct_table(pair, model, against)
    ours, theirs = table.values[:, 0], table.values[:, 2]
    gained, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    p = mcnemar(gained, lost)
    found = _one_language(pair, table, _share_difference, draws)
    method = f"{found.method}; exact McNemar p = {p:.3g} ({gained} gained, {lost} lost)"
    if found.clear and p >= ALPHA:
        found = replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))
        method += "; interval drawn out to zero, which the exact test does not exclude"
    return replace(found, metric=metric, method=method)


def bits_per_byte_difference(
    pair: Pair, model: Costs, against: Costs, *, draws: Draws | None = None
) -> Difference:
    """Return the difference of bits per byte, paired by id; below zero the model is better.

    The interval is a percentile bootstrap over ids of the difference of the two ratios of sums.
    Raises ``DataError`` as ``accuracy_difference`` and as ``metrics.bits_per_byte``.
    """
    found = _one_language(pair, _cost_table(pair, model, against), _bits_difference, draws)
    return replace(found, metric="bits_per_byte", higher_is_better=False)


def macro_accuracy_difference(
    pair: Pair,
    model: Mapping[str, Correct],
    against: Mapping[str, Correct],
    *,
    parallel: bool,
    metric: str = "acc",
    draws: Draws | None = None,
) -> Difference:
    """Return the difference of accuracies averaged over languages, each with the same weight.

    Both maps go from language to items. With ``parallel`` an id is the same question in every
    language (XCOPA's idx) and is drawn with all its translations: taken as independent they would
    make the interval too narrow. Without it each language is drawn by itself.
    """
    tables = {
        language: _correct_table(replace(pair, language=language), model[language], theirs)
        for language, theirs in _same_languages(pair, model, against)
    }
    found = _macro(pair, tables, _share_difference, parallel=parallel, draws=draws)
    return replace(found, metric=metric)


def macro_bits_per_byte_difference(
    pair: Pair,
    model: Mapping[str, Costs],
    against: Mapping[str, Costs],
    *,
    parallel: bool,
    draws: Draws | None = None,
) -> Difference:
    """Return the difference of bits per byte averaged over languages, as for accuracies."""
    tables = {
        language: _cost_table(replace(pair, language=language), model[language], theirs)
        for language, theirs in _same_languages(pair, model, against)
    }
    found = _macro(pair, tables, _bits_difference, parallel=parallel, draws=draws)
    return replace(found, metric="bits_per_byte", higher_is_better=False)


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided exact p of McNemar's test: are gains and losses a fair coin's?"""
    flips, fewer = gained + lost, min(gained, lost)
    ways = term = 1
    for k in range(fewer):
        term = term * (flips - k) // (k + 1)
        ways += term
    # integers of any size: their quotient is rounded once, where floats would underflow
    return min(1.0, 2 * ways / (1 << flips))


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


def _one_language(
    pair: Pair, table: _Table, statistic: Statistic, draws: Draws | None
) -> Difference:
    draws = draws or Draws()
    value = float(_rounded(statistic(table.values.sum(axis=0))))
    sums = resampled_sums(table.values, draws=draws.count, seed=draws.seed)
    method = f"paired bootstrap over ids, {draws}"
    found = _difference(pair, value, _rounded(statistic(sums)), len(table.ids), method)
    return found if len(table.ids) > 1 else _boundless(found)


def _macro(
    pair: Pair,
    tables: Mapping[str, _Table],
    statistic: Statistic,
    *,
    parallel: bool,
    draws: Draws | None,
) -> Difference:
    draws = draws or Draws()
    value = np.mean([statistic(table.values.sum(axis=0)) for table in tables.values()])
    resampled = _together(tables, draws) if parallel else _apart(tables, draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = statistic(resampled).mean(axis=-1)
    usable = found[np.isfinite(found)]
    if len(usable) < 0.99 * len(found):
        raise DataError(
            f"{pair.task}: a language has too few items for an average over languages",
            "leave that language out, or look at it by itself",
        )
    ids = len(set().union(*(table.ids for table in tables.values())))
    n = ids if parallel else sum(len(table.ids) for table in tables.values())
    how = "clustered by id across" if parallel else "stratified over"
    method = f"paired bootstrap {how} {len(tables)} languages, {draws}"
    at = replace(pair, language=MACRO)
    macro = _difference(at, float(value), _rounded(usable), n, method)
    return macro if all(len(table.ids) > 1 for table in tables.values()) else _boundless(macro)


def _together(tables: Mapping[str, _Table], draws: Draws) -> Floats:
    """Draw ids, each with all its languages: [draws, languages, COLUMNS]."""
    ids = sorted(set().union(*(table.ids for table in tables.values())))
    row = {name: number for number, name in enumerate(ids)}
    wide = np.zeros((len(ids), len(tables), COLUMNS))
    for at, table in enumerate(tables.values()):
        wide[[row[name] for name in table.ids], at] = table.values
    sums = resampled_sums(wide.reshape(len(ids), -1), draws=draws.count, seed=draws.seed)
    return sums.reshape(draws.count, len(tables), COLUMNS)


def _apart(tables: Mapping[str, _Table], draws: Draws) -> Floats:
    """Draw the items of each language by themselves: [draws, languages, COLUMNS]."""
    blocks = [
        resampled_sums(table.values, draws=draws.count, seed=(draws.seed, at))
        for at, table in enumerate(tables.values())
    ]
    return np.stack(blocks, axis=1)


def _difference(pair: Pair, value: float, drawn: Floats, n: int, method: str) -> Difference:
    low, high = percentiles(drawn)
    return Difference(
        pair.model, pair.against, pair.task, pair.language, "acc", value, low, high, n, method
    )


def _boundless(found: Difference) -> Difference:
    # one item says nothing about the spread: the bootstrap would call it certain
    return replace(found, low=-math.inf, high=math.inf, method=f"{found.method}; one item only")


def _share_difference(sums: Floats) -> Floats:
    difference: Floats = sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]
    return difference


def _bits_difference(sums: Floats) -> Floats:
    return bits(sums[..., :2]) - bits(sums[..., 2:])


def _rounded(values: Floats) -> Floats:
    # two equal models must differ by 0, not by the last bit of a sum in another order
    return np.round(values, 12)


def _correct_table(pair: Pair, model: Correct, against: Correct) -> _Table:
    ids = _same_ids(pair, model, against)
    one = np.ones(len(ids))
    ours = np.array([bool(model[name]) for name in ids], dtype=np.float64)
    theirs = np.array([bool(against[name]) for name in ids], dtype=np.float64)
    return _Table(ids, np.column_stack((ours, one, theirs, one)))


def _cost_table(pair: Pair, model: Costs, against: Costs) -> _Table:
    ids = _same_ids(pair, model, against)
    columns: list[Floats] = []
    for costs in (model, against):
        columns += checked_cost([costs[i].nats for i in ids], [costs[i].size for i in ids])
    return _Table(ids, np.column_stack(columns))


def _same_ids(
    pair: Pair, model: Mapping[str, object], against: Mapping[str, object]
) -> tuple[str, ...]:
    """Return the ids of both, sorted: the order of the files must not move the interval."""
    alone = sorted(model.keys() ^ against.keys())
    where = f"{pair.task} in {pair.language}"
    if alone:
        raise DataError(
            f"{where}: {len(alone)} items were scored for only one of {pair.model} and "
            f"{pair.against}, such as {alone[0]}",
            "score both models on the same items",
        )
    if not model:
        raise DataError(f"{where}: there are no items to compare", "score both models first")
    return tuple(sorted(model))


def _same_languages(
    pair: Pair, model: Mapping[str, Items], against: Mapping[str, Items]
) -> list[tuple[str, Items]]:
    """Return the languages of both, sorted, each with the results of the model held against."""
    alone = sorted(model.keys() ^ against.keys())
    if alone or not model:
        raise DataError(
            f"{pair.task}: {pair.model} and {pair.against} share no set of languages"
            + (f" ({', '.join(alone)} only in one)" if alone else ""),
            "score both models in the same languages",
        )
    return sorted(against.items())
