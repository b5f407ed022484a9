"""One model's results with lm-evaluation-harness's keys, so that its users' scripts read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bactrian.evaluate.metrics import MICRO, Z95
from bactrian.schema import Score


def lm_eval_shape(
    scores: Sequence[Score], averages: Sequence[Score], base: str, peft: str = ""
) -> dict[str, Any]:
    """Return results by task with standard errors; a group is the micro average, as there."""
    results: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[str, int]] = {}
    better: dict[str, dict[str, bool]] = {}
    for score in scores:
        name = _name(f"{score.task}_{score.language}")
        _put(results, name, score)
        samples[name] = {"original": score.n, "effective": score.n}
        better.setdefault(name, {})[score.metric] = score.higher_is_better
    groups: dict[str, dict[str, Any]] = {}
    for score in averages:
        if score.language == MICRO:
            _put(groups, _name(score.task), score)
    adapter = f",peft={peft}" if peft else ""
    return {
        "results": results,
        **({"groups": groups} if groups else {}),
        "n-samples": samples,
        "n-shot": dict.fromkeys(results, 0),
        "versions": {},
        "higher_is_better": better,
        "config": {"model": "bactrian", "model_args": f"pretrained={base}{adapter}"},
        "bactrian": {"signatures": sorted({score.signature for score in scores})},
    }


def _put(cells: dict[str, dict[str, Any]], name: str, score: Score) -> None:
    cell = cells.setdefault(name, {"alias": name})
    cell[f"{score.metric},none"] = score.value
    cell[f"{score.metric}_stderr,none"] = _standard_error(score)


def _name(text: str) -> str:
    return text.replace("-", "_")


def _standard_error(score: Score) -> float | str:
    if score.metric.startswith("acc"):
        return math.sqrt(score.value * (1 - score.value) / max(1, score.n - 1))
    width = score.high - score.low
    return width / (2 * Z95) if math.isfinite(width) else "N/A"
