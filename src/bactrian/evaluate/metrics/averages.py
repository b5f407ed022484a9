"""Averages of one model over languages, with an interval that knows what belongs together."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bactrian.errors import DataError
from bactrian.evaluate.metrics.clusters import (
    MACRO,
    MICRO,
    Average,
    Counted,
    Table,
    over_languages,
    table_of,
)
from bactrian.evaluate.metrics.estimates import Estimate
from bactrian.evaluate.metrics.measures import Measure
from bactrian.evaluate.metrics.sampling import Draws, Floats, percentiles

USABLE = 0.99
"""Share of the draws that must have an answer: every language drawn at least once."""


def averages(
    languages: Mapping[str, Counted], measure: Measure, draws: Draws
) -> dict[Average, Estimate]:
    """Return the macro and the micro average, each with a bootstrap over clusters.

    ``n`` counts the items of all languages. A language with too few items to be drawn from says
    nothing about the spread: the intervals are then without bounds. Raises ``DataError`` for no
    language.
    """
    if not languages:
        raise DataError("there is no language to average over", "name a task that was measured")
    table = table_of(languages)
    sums, drawn = table.sums(), table.resampled(draws)
    found: dict[Average, Estimate] = {}
    for how in (MACRO, MICRO):
        value = float(over_languages(measure, sums, how))
        low, high = interval(over_languages(measure, drawn, how), table)
        found[how] = Estimate(value, low, high, table.items)
    return found


def interval(drawn: Floats, table: Table) -> tuple[float, float]:
    """Return the 95 % interval of the draws of a table's clusters.

    Without bounds where a language has one cluster, which the bootstrap would call certain, or
    where many draws miss a language.
    """
    usable = drawn[np.isfinite(drawn)]
    if table.fewest < 2 or len(usable) < USABLE * len(drawn):
        return -math.inf, math.inf
    return percentiles(usable, len(table.values))
