"""What a model answered as rows that add up, by metric: the door from answers to statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bactrian.errors import DataError, did_you_mean
from bactrian.evaluate.answered import Answered
from bactrian.evaluate.metrics import (
    ACCURACY,
    BITS,
    F1_MACRO,
    F1_WEIGHTED,
    Counted,
    Floats,
    Measure,
    calibrated,
    checked_cost,
    confusion,
)

CALIBRATED = "_calibrated"
_F1 = {"f1_macro": F1_MACRO, "f1_weighted": F1_WEIGHTED}


def metrics_of(answered: Answered) -> tuple[str, ...]:
    """Return the metrics that these answers allow, the task's main one first.

    An option without a length has no ``acc_norm``; only an evaluation that asked for the labels
    after an empty input has calibrated ones.
    """
    if answered.metric == "bits_per_byte":
        return ("bits_per_byte",)
    if answered.metric == "f1":
        plain = ("f1_macro", "f1_weighted", "acc")
        return (*plain, *(f"{name}{CALIBRATED}" for name in plain)) if answered.blank else plain
    whole = all(0 not in question.sizes for question in answered.questions)
    return ("acc", "acc_norm", "acc_bytes") if whole else ("acc",)


def measure_of(metric: str) -> Measure:
    """Return how a metric follows from sums; raises DataError for one that is unknown."""
    plain = metric.removesuffix(CALIBRATED)
    if plain in _F1:
        return replace(_F1[plain], metric=metric)
    if plain in ("acc", "acc_norm", "acc_bytes"):
        return replace(ACCURACY, metric=metric)
    if metric == BITS.metric:
        return BITS
    known = ("acc", "acc_norm", "acc_bytes", *_F1, BITS.metric)
    raise DataError(f"unknown metric {metric}", did_you_mean(metric, known))


def answers(answered: Answered, model: str, metric: str) -> list[int]:
    """Return the option that the model takes of each question under a metric: the first largest."""
    values = _padded(answered.nats[model], -math.inf)
    if metric.endswith(CALIBRATED):
        blank = answered.blank.get(model, ())
        values = np.array([calibrated(row, blank) for row in answered.nats[model]])
    elif metric == "acc_norm":
        values = values / _padded([question.characters for question in answered.questions], 1.0)
    elif metric == "acc_bytes":
        values = values / _padded([question.sizes for question in answered.questions], 1.0)
    found: list[int] = values.argmax(axis=1).tolist() if values.size else []
    return found


def ties(answered: Answered, model: str) -> int:
    """Return on how many questions two options shared the largest log-likelihood."""
    values = _padded(answered.nats[model], math.nan)
    if not values.size:
        return 0
    largest = np.nanmax(values, axis=1, keepdims=True)
    return int(((values == largest).sum(axis=1) > 1).sum())


def counted(answered: Answered, model: str, metric: str) -> Counted:
    """Return the rows of one model under one metric."""
    if answered.metric == "bits_per_byte":
        costs = [-values[0] for values in answered.nats[model]]
        sizes = [question.sizes[0] for question in answered.questions]
        return _named(answered, np.column_stack(checked_cost(costs, sizes)))
    return counted_answers(answered, answers(answered, model, metric), metric)


def counted_answers(answered: Answered, chosen: Sequence[int], metric: str) -> Counted:
    """Return the rows of given answers, a model's or a rule's, under a metric of choices."""
    gold = [question.gold for question in answered.questions]
    if metric.startswith("f1"):
        return _named(answered, confusion(gold, chosen, len(answered.labels)))
    right = np.equal(gold, chosen).astype(np.float64)
    return _named(answered, np.column_stack((right, np.ones(len(right)))))


def _padded(rows: Sequence[Sequence[float]], blank: float) -> Floats:
    """Return rows that may differ in length as an array [rows, longest]."""
    table = np.full((len(rows), max(map(len, rows), default=0)), blank)
    for at, row in enumerate(rows):
        table[at, : len(row)] = row
    return table


def _named(answered: Answered, rows: Floats) -> Counted:
    ids = tuple(question.id for question in answered.questions)
    return Counted(ids, tuple(question.cluster for question in answered.questions), rows)
