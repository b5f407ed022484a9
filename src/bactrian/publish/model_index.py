"""Scores as ``model-index``, the Hub's form of results in the head of a card."""

from __future__ import annotations

import re
from typing import Any

from bactrian.publish.card.scores import AVERAGES, Evaluation, Found, bounded, is_bits

HUB = {
    "xcopa": ("cambridgeltl/xcopa", "test"),
    "xstorycloze": ("juletxara/xstory_cloze", "eval"),
    "xwinograd": ("Muennighoff/xwinograd", "test"),
    "exams": ("mhardalov/exams", ""),
    "sib200": ("Davlan/sib200", "test"),
    "flores": ("Davlan/sib200", "test"),
}
"""Id and split on the Hub of the data that a task is made from; empty where parts are merged."""
TYPES = {"acc": "accuracy", "f1_macro": "f1", "f1_weighted": "f1"}
"""Metric ids of the Hub that say the same; others go by their own names."""


def model_index(name: str, evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the value of ``model-index``: each number with n, interval and signature."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [_result(one) for one in evaluation.found]
    told: list[dict[str, Any]] = eval_results_to_model_index(name, results)
    return told


def dataset_of(task: str) -> tuple[str, str]:
    """Return id and split on the Hub of a task's data, empty where it has none there."""
    return HUB.get(_split(task)[0], ("", ""))


def form_of(task: str) -> str:
    """Return how a task was asked where that is told: ``letter``, ``lm-eval``; else empty."""
    return _split(task)[1].lstrip(":@").replace("@", "_")


def metric_name(one: Found) -> str:
    """Return the metric in words, with n and interval: ``acc, n = 100, 95 % [0.385, 0.577]``."""
    score = one.score
    digits = 4 if is_bits(score.metric) else 3
    told = f"{score.metric}, n = {score.n}"
    if bounded(score):
        told += f", 95 % [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    return told


def config_of(task: str, language: str) -> str:
    """Return the part of the data: the language, and the form of asking, which has to be unique."""
    part = f"all:{language}" if language in AVERAGES else language
    return "_".join(filter(None, (part, form_of(task))))


def _split(task: str) -> tuple[str, str]:
    """Return the name of a task, and what follows it: ``:letter``, ``@lm-eval``."""
    name = re.match(r"[^:@]*", task)
    return (name[0], task[name.end() :]) if name else (task, "")


def _result(one: Found) -> Any:
    from huggingface_hub import EvalResult

    score = one.score
    dataset, split = dataset_of(score.task)
    told: dict[str, Any] = {"n": score.n}
    if bounded(score):
        told |= {"low": score.low, "high": score.high}
    return EvalResult(
        task_type="text-generation",
        task_name=f"{score.task} ({score.language})",
        dataset_type=dataset or score.task,
        dataset_name=f"{score.task} {score.language}",
        dataset_config=config_of(score.task, score.language),
        dataset_split=split or None,
        metric_type=TYPES.get(score.metric, score.metric),
        metric_value=score.value,
        metric_name=metric_name(one),
        metric_args={**told, "signature": score.signature},
    )
