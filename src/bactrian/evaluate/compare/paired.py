"""The paired difference of any measure, in one language or averaged over several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bactrian.errors import DataError
from bactrian.evaluate.compare.significance import (
    Z80,
    exact_swap,
    holm,
    mcnemar,
    randomised,
    smallest_detectable,
)
from bactrian.evaluate.metrics import (
    ACCURACY,
    BITS,
    MACRO,
    MICRO,
    Z95,
    Counted,
    Draws,
    Floats,
    Measure,
    Table,
    checked_cost,
    interval,
    over_languages,
    swapped_sums,
    table_of,
)
from bactrian.schema import ALPHA, Difference

DIGITS = 12


@dataclass(frozen=True, slots=True)
class Pair:
    """Which two models, on which task, in which language."""

    model: str
    against: str
    task: str
    language: str = MACRO
    """``macro`` and ``micro`` average over languages."""
    group: str = ""


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


def difference(
    pair: Pair,
    measure: Measure,
    model: Mapping[str, Counted],
    against: Mapping[str, Counted],
    draws: Draws | None = None,
) -> Difference:
    """Return the difference of a measure, paired by item id; the maps go from language to items.

    The interval is a bootstrap over clusters, drawn among those that lie in the same
    languages. p is exact for accuracy in one language or over all items (McNemar; with clusters,
    every cluster one throw of a coin), else by randomisation. Where the interval excludes zero and
    the p does not, it is drawn out to zero: with few items the two disagree, and a difference is
    clear only where both say so. Raises ``DataError`` for no items, and for ids and languages that
    only one of the models has.
    """
    draws = draws or Draws()
    table = table_of(
        {language: _together(pair, language, ours, theirs)
         for language, ours, theirs in _same_languages(pair, model, against)}
    )  # fmt: skip
    sums = table.sums()
    ours, theirs = (float(over_languages(measure, half, pair.language)) for half in _halves(sums))
    value = round(ours - theirs, DIGITS)
    # two equal models must differ by 0, not by the last bit of a sum in another order
    drawn = np.round(_gap(measure, table.resampled(draws), pair.language), DIGITS)
    low, high = interval(drawn, table)
    p, test = _test(pair, measure, table, value, draws)
    found = Difference(
        pair.model, pair.against, pair.task, pair.language, measure.metric, value, low, high,
        len(table.values), f"{_how(table, draws)}; {test}", measure.higher_is_better, pair.group,
        ours, theirs, p, None, _detectable(measure, table, drawn),
    )  # fmt: skip
    return _without_overreach(found) if math.isfinite(high) else _boundless(found)


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """Return differences of one task in its languages with p adjusted for looking at them all."""
    adjusted = holm([1.0 if one.p is None else one.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def accuracy_difference(
    pair: Pair, model: Correct, against: Correct, *, metric: str = "acc", draws: Draws | None = None
) -> Difference:
    """Return the difference of two accuracies (-1 to 1) in one language; as ``difference``."""
    ours, theirs = ({pair.language: _marks(side)} for side in (model, against))
    return difference(pair, replace(ACCURACY, metric=metric), ours, theirs, draws)


def bits_per_byte_difference(
    pair: Pair, model: Costs, against: Costs, *, draws: Draws | None = None
) -> Difference:
    """Return the difference of bits per byte; below zero the model is better.

    Raises ``DataError`` as ``difference`` and as ``metrics.bits_per_byte``.
    """
    ours, theirs = ({pair.language: _cost_rows(side)} for side in (model, against))
    return difference(pair, BITS, ours, theirs, draws)


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
    language (XCOPA's idx) and is drawn with all its translations. Without it each language is
    drawn by itself.
    """
    ours, theirs = (
        {code: _marks(correct, "" if parallel else code) for code, correct in side.items()}
        for side in (model, against)
    )
    return difference(_macro(pair), replace(ACCURACY, metric=metric), ours, theirs, draws)


def macro_bits_per_byte_difference(
    pair: Pair,
    model: Mapping[str, Costs],
    against: Mapping[str, Costs],
    *,
    parallel: bool,
    draws: Draws | None = None,
) -> Difference:
    """Return the difference of bits per byte averaged over languages, as for accuracies."""
    ours, theirs = (
        {code: _cost_rows(costs, "" if parallel else code) for code, costs in side.items()}
        for side in (model, against)
    )
    return difference(_macro(pair), BITS, ours, theirs, draws)


def _macro(pair: Pair) -> Pair:
    return replace(pair, language=MACRO)


def _marks(correct: Correct, apart: str = "") -> Counted:
    rows = np.array([[float(right), 1.0] for right in correct.values()]).reshape(-1, 2)
    return Counted(tuple(correct), _clusters(correct, apart), rows)


def _cost_rows(costs: Costs, apart: str = "") -> Counted:
    if not costs:
        return Counted((), (), np.zeros((0, 2)))
    columns = checked_cost([one.nats for one in costs.values()], [c.size for c in costs.values()])
    return Counted(tuple(costs), _clusters(costs, apart), np.column_stack(columns))


def _clusters(ids: Mapping[str, object], apart: str) -> tuple[str, ...]:
    return tuple(f"{apart}\n{name}" if apart else name for name in ids)


def _together(pair: Pair, language: str, ours: Counted, theirs: Counted) -> Counted:
    """Return the items of both, sorted by id, the columns of the second after the first's."""
    where = f"{pair.task} in {language}"
    mine, other = ({name: at for at, name in enumerate(side.ids)} for side in (ours, theirs))
    if alone := sorted(mine.keys() ^ other.keys()):
        raise DataError(
            f"{where}: {len(alone)} items were scored for only one of {pair.model} and "
            f"{pair.against}, such as {alone[0]}",
            "score both models on the same items",
        )
    if not mine:
        raise DataError(f"{where}: there are no items to compare", "score both models first")
    ids = tuple(sorted(mine))
    order, beside = [mine[name] for name in ids], [other[name] for name in ids]
    rows = np.concatenate((ours.rows[order], theirs.rows[beside]), axis=1)
    return Counted(ids, tuple(ours.clusters[at] for at in order), rows)


def _same_languages(
    pair: Pair, model: Mapping[str, Counted], against: Mapping[str, Counted]
) -> list[tuple[str, Counted, Counted]]:
    """Return the languages of both, sorted, with the items of both."""
    alone = sorted(model.keys() ^ against.keys())
    if alone or not model:
        raise DataError(
            f"{pair.task}: {pair.model} and {pair.against} share no set of languages"
            + (f" ({', '.join(alone)} only in one)" if alone else ""),
            "score both models in the same languages",
        )
    return [(language, model[language], against[language]) for language in sorted(model)]


def _halves(sums: Floats) -> tuple[Floats, Floats]:
    half = sums.shape[-1] // 2
    return sums[..., :half], sums[..., half:]


def _gap(measure: Measure, sums: Floats, how: str) -> Floats:
    ours, theirs = (over_languages(measure, part, how) for part in _halves(sums))
    return ours - theirs


def _test(
    pair: Pair, measure: Measure, table: Table, value: float, draws: Draws
) -> tuple[float, str]:
    """Return the p of no difference, and how it was found."""
    clusters, languages, _ = table.values.shape
    if measure.value is ACCURACY.value and (languages == 1 or pair.language == MICRO):
        gains = _gains(table)
        if clusters == table.items:
            gained, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
            p = mcnemar(gained, lost)
            return p, f"exact McNemar p = {p:.3g} ({gained} gained, {lost} lost)"
        p = exact_swap(gains)
        return p, f"exact test over clusters p = {p:.3g}"
    pairs = np.stack([part.reshape(clusters, -1) for part in _halves(table.values)], axis=1)
    swapped = swapped_sums(pairs, draws=draws.count, seed=draws.seed)
    sides = [
        over_languages(measure, swapped[:, side].reshape(draws.count, languages, -1), pair.language)
        for side in (0, 1)
    ]
    p = randomised(value, sides[0] - sides[1])
    return p, f"randomisation p = {p:.3g}"


def _gains(table: Table) -> list[int]:
    """Return right answers gained less lost, by cluster."""
    ours, theirs = _halves(table.values)
    gains = ours[..., 0].sum(axis=1) - theirs[..., 0].sum(axis=1)
    return [int(gain) for gain in gains]


def _detectable(measure: Measure, table: Table, drawn: Floats) -> float | None:
    clusters, languages, _ = table.values.shape
    if 2 ** (1 - clusters) >= ALPHA:
        return None  # even with every swap to one side no test would speak
    if measure.value is ACCURACY.value and languages == 1 and clusters == table.items:
        discordant = sum(gain != 0 for gain in _gains(table)) / clusters
        found = smallest_detectable(clusters, discordant)
    else:
        found = (Z95 + Z80) * float(drawn.std())
    return found if 0 < found < math.inf else None


def _how(table: Table, draws: Draws) -> str:
    clusters, languages, _ = table.values.shape
    if languages > 1:
        across = "clustered by id across" if clusters < table.items else "stratified over"
        return f"paired bootstrap {across} {languages} languages, {draws}"
    of = "ids" if clusters == table.items else f"{clusters} clusters of {table.items} items"
    return f"paired bootstrap over {of}, {draws}"


def _without_overreach(found: Difference) -> Difference:
    outside = found.low > 0 or found.high < 0
    if not outside or found.p is None or found.p < ALPHA:
        return found
    note = "interval drawn out to zero, which the test does not exclude"
    return replace(
        found,
        low=min(found.low, 0.0),
        high=max(found.high, 0.0),
        method=f"{found.method}; {note}",
    )


def _boundless(found: Difference) -> Difference:
    why = "too few items in a language for an interval"
    return replace(found, detectable=None, method=f"{found.method}; {why}")
