"""Two models on the same items: the difference, its interval, and whether it is beyond the noise.

Always paired: an item counts only with both models' results, and ids that only one of them has are
refused, not dropped. Knows nothing of what the models are, nor of files.
"""

from bactrian.evaluate.compare.paired import (
    Correct,
    Cost,
    Costs,
    Pair,
    accuracy_difference,
    bits_per_byte_difference,
    corrected,
    difference,
    macro_accuracy_difference,
    macro_bits_per_byte_difference,
)
from bactrian.evaluate.compare.significance import (
    Z80,
    exact_swap,
    holm,
    mcnemar,
    randomised,
    smallest_detectable,
)
from bactrian.evaluate.metrics import MACRO, MICRO, Draws
from bactrian.schema import ALPHA

__all__ = [
    "ALPHA",
    "MACRO",
    "MICRO",
    "Z80",
    "Correct",
    "Cost",
    "Costs",
    "Draws",
    "Pair",
    "accuracy_difference",
    "bits_per_byte_difference",
    "corrected",
    "difference",
    "exact_swap",
    "holm",
    "macro_accuracy_difference",
    "macro_bits_per_byte_difference",
    "mcnemar",
    "randomised",
    "smallest_detectable",
]
