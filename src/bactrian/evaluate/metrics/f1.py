"""Label tasks: confusion counts, F1, what one answer always given would get, calibration.

The options of a label task are the same labels in one order, so an item adds one to a cell of a
table gold x answer, and everything here is a function of that table's sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bactrian.errors import DataError
from bactrian.evaluate.metrics.sampling import Floats

Indices = Sequence[int] | npt.NDArray[np.integer[Any]]


class Constant(NamedTuple):
    """What always giving one answer gets."""

    label: int
    f1_macro: float
    f1_weighted: float
    acc: float


def confusion(gold: Indices, answers: Indices, labels: int) -> Floats:
    """Return for each item a row [labels * labels] with a one at gold x answer."""
    rows = np.zeros((len(gold), labels * labels))
    rows[np.arange(len(gold)), np.asarray(gold) * labels + np.asarray(answers)] = 1
    return rows


def f1_scores(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return macro F1, weighted F1 and accuracy of confusion counts [..., labels * labels].

    As scikit-learn has them: macro is the mean over the labels that occur in the gold or in the
    answers, weighted takes each label's share of the gold, a label without a hit has F1 0.
    """
    labels = math.isqrt(sums.shape[-1])
    table = sums.reshape(*sums.shape[:-1], labels, labels)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    gold, answers = table.sum(axis=-1), table.sum(axis=-2)
    occurs = gold + answers > 0
    each = 2 * hits / np.where(occurs, gold + answers, 1)
    n = gold.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # no items: not a number
        macro = each.sum(axis=-1) / occurs.sum(axis=-1)
        return macro, (each * gold).sum(axis=-1) / n, hits.sum(axis=-1) / n


def constants(gold_counts: Sequence[int]) -> tuple[Constant, ...]:
    """Return what always giving each label gets on items of these gold counts."""
    labels = len(gold_counts)
    found = []
    for label in range(labels):
        table = np.zeros((labels, labels))
        table[:, label] = gold_counts
        found.append(Constant(label, *(float(value) for value in f1_scores(table.ravel()))))
    return tuple(found)


def calibrated(values: Sequence[float], blank: Sequence[float]) -> tuple[float, ...]:
    """Return log-likelihoods of labels less those after an empty input (nats): content alone.

    The prior of a label, which an instruction-tuned model often mistakes for an answer, is taken
    away. Raises ``DataError`` where there is not one for each label.
    """
    if len(values) != len(blank):
        raise DataError(
            f"{len(values)} labels, but {len(blank)} after an empty input",
            "score the empty input with the same labels",
        )
    return tuple(value - prior for value, prior in zip(values, blank, strict=True))
