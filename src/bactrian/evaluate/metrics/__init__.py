"""Numbers over per-item results, each with its n and a 95 % interval.

Knows nothing of models, languages, prompts or files: it is given what an engine measured for each
item.
"""

from bactrian.evaluate.metrics.averages import averages, interval
from bactrian.evaluate.metrics.choices import (
    Marks,
    Options,
    Pick,
    Rule,
    longest,
    mark,
    pick,
    picked,
)
from bactrian.evaluate.metrics.clusters import (
    MACRO,
    MICRO,
    Average,
    Counted,
    Table,
    over_languages,
    table_of,
)
from bactrian.evaluate.metrics.estimates import Cell, Estimate, accuracy, wilson
from bactrian.evaluate.metrics.f1 import Constant, calibrated, confusion, constants, f1_scores
from bactrian.evaluate.metrics.measures import (
    ACCURACY,
    BITS,
    F1_MACRO,
    F1_WEIGHTED,
    Measure,
    bits,
    bits_per_byte,
    checked_cost,
)
from bactrian.evaluate.metrics.sampling import (
    DRAWS,
    Z95,
    Draws,
    Floats,
    percentiles,
    resampled_sums,
    swapped_sums,
)

__all__ = [
    "ACCURACY",
    "BITS",
    "DRAWS",
    "F1_MACRO",
    "F1_WEIGHTED",
    "MACRO",
    "MICRO",
    "Z95",
    "Average",
    "Cell",
    "Constant",
    "Counted",
    "Draws",
    "Estimate",
    "Floats",
    "Marks",
    "Measure",
    "Options",
    "Pick",
    "Rule",
    "Table",
    "accuracy",
    "averages",
    "bits",
    "bits_per_byte",
    "calibrated",
    "checked_cost",
    "confusion",
    "constants",
    "f1_scores",
    "interval",
    "longest",
    "mark",
    "over_languages",
    "percentiles",
    "pick",
    "picked",
    "resampled_sums",
    "swapped_sums",
    "table_of",
    "wilson",
]
