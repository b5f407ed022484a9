"""Scores and differences from what the store holds, and the files that keep them.

``results.json`` has everything; beside it, one file a model with lm-evaluation-harness's keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bactrian import __version__
from bactrian.evaluate import compare, metrics
from bactrian.evaluate.compare import Cost, Draws, Pair
from bactrian.evaluate.metrics import Cell, Options
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules
from bactrian.files import write_text
from bactrian.schema import Difference, Score

BASE = "base"
Found = Mapping[tuple[str, int], Scored]


@dataclass(frozen=True, slots=True)
class Results:
    """What an evaluation found."""

    base: str
    models: tuple[str, ...]
    """``base`` first, then the adapters."""
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    """What a reader has to know: contexts cut, ties, tokens that spanned a join."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One task in one language, as every model scored it."""

    task: str
    language: str
    rules: Rules
    signature: str
    items: tuple[Item, ...]
    found: Mapping[str, Found]
    """Model to what the store holds."""


def scores_of(measured: Measured, draws: Draws) -> tuple[Score, ...]:
    """Return every model's numbers on one task in one language."""
    return tuple(
        score
        for model, found in measured.found.items()
        for score in _scores(measured, model, found, draws)
    )


def differences_of(all_measured: Sequence[Measured], draws: Draws) -> tuple[Difference, ...]:
    """Return each adapter against the base, by language and, with two or more, as their mean."""
    found: list[Difference] = []
    tasks = dict.fromkeys(measured.task for measured in all_measured)
    for task in tasks:
        group = [measured for measured in all_measured if measured.task == task]
        models = [model for model in group[0].found if model != BASE]
        for model in models:
            found += [_difference(measured, model, draws) for measured in group]
            if len(group) > 1:
                found.append(_macro(group, model, draws))
    return tuple(found)


def write(results: Results, folder: Path, environment: Mapping[str, Any]) -> Path:
    """Write ``results.json`` and ``lm_eval/<model>.json``; return the first."""
    whole = {
        "bactrian": __version__,
        "base": results.base,
        "models": results.models,
        "scores": [asdict(score) for score in results.scores],
        "differences": [asdict(difference) for difference in results.differences],
        "notes": results.notes,
        "environment": environment,
    }
    for stale in (folder / "lm_eval").glob("*.json"):
        if stale.stem not in results.models:
            stale.unlink()
    for model in results.models:
        mine = [score for score in results.scores if score.model == model]
        text = json.dumps(_lm_eval(mine, results.base, model), indent=2, ensure_ascii=False)
        write_text(folder / "lm_eval" / f"{model}.json", text + "\n")
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    return write_text(folder / "results.json", text + "\n")


def read(path: Path) -> Results:
    """Read back what ``write`` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        told["base"],
        tuple(told["models"]),
        tuple(Score(**score) for score in told["scores"]),
        tuple(Difference(**difference) for difference in told["differences"]),
        tuple(told["notes"]),
    )


def _scores(measured: Measured, model: str, found: Found, draws: Draws) -> Iterable[Score]:
    cell = Cell(model, measured.task, measured.language, measured.signature)
    if measured.rules.metric == "bits_per_byte":
        costs = _costs(measured.items, found)
        estimate = metrics.bits_per_byte(
            [cost.nats for cost in costs.values()],
            [cost.size for cost in costs.values()],
            draws=draws.count,
            seed=draws.seed,
        )
        yield cell.score("bits_per_byte", estimate, higher_is_better=False)
        return
    options = _options(measured.items, found)
    for rule in ("acc", "acc_norm"):
        yield cell.score(rule, metrics.accuracy(metrics.mark(options, rule).correct))


def _difference(measured: Measured, model: str, draws: Draws) -> Difference:
    pair = Pair(model, BASE, measured.task, measured.language)
    ours, theirs = measured.found[model], measured.found[BASE]
    if measured.rules.metric == "bits_per_byte":
        return compare.bits_per_byte_difference(
            pair, _costs(measured.items, ours), _costs(measured.items, theirs), draws=draws
        )
    return compare.accuracy_difference(
        pair, _correct(measured.items, ours), _correct(measured.items, theirs), draws=draws
    )


def _macro(group: Sequence[Measured], model: str, draws: Draws) -> Difference:
    pair = Pair(model, BASE, group[0].task)
    if group[0].rules.metric == "bits_per_byte":
        costs = [
            {m.language: _costs(m.items, m.found[name]) for m in group} for name in (model, BASE)
        ]
        return compare.macro_bits_per_byte_difference(pair, *costs, parallel=True, draws=draws)
    correct = [
        {m.language: _correct(m.items, m.found[name]) for m in group} for name in (model, BASE)
    ]
    return compare.macro_accuracy_difference(pair, *correct, parallel=True, draws=draws)


def _costs(items: Sequence[Item], found: Found) -> dict[str, Cost]:
    return {
        item.id: Cost(-found[item.id, 0].log_likelihood, len(item.options[0].encode()))
        for item in items
    }


def _options(items: Sequence[Item], found: Found) -> list[Options]:
    return [
        Options(
            item.id,
            item.texts or item.options,
            tuple(found[item.id, place].log_likelihood for place in range(len(item.options))),
            item.gold,
        )
        for item in items
    ]


def _correct(items: Sequence[Item], found: Found) -> dict[str, bool]:
    marks = metrics.mark(_options(items, found))
    return dict(zip(marks.ids, marks.correct, strict=True))


def _lm_eval(scores: Sequence[Score], base: str, model: str) -> dict[str, Any]:
    """Return lm-evaluation-harness's shape: results by task, with standard errors."""
    results: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[str, int]] = {}
    better: dict[str, dict[str, bool]] = {}
    for score in scores:
        name = f"{score.task}_{score.language}".replace("-", "_")
        cell = results.setdefault(name, {"alias": name})
        cell[f"{score.metric},none"] = score.value
        cell[f"{score.metric}_stderr,none"] = _standard_error(score)
        samples[name] = {"original": score.n, "effective": score.n}
        better.setdefault(name, {})[score.metric] = score.higher_is_better
    adapter = "" if model == BASE else f",peft={model}"
    return {
        "results": results,
        "n-samples": samples,
        "n-shot": dict.fromkeys(results, 0),
        "versions": {},
        "higher_is_better": better,
        "config": {"model": "bactrian", "model_args": f"pretrained={base}{adapter}"},
        "bactrian": {"signatures": sorted({score.signature for score in scores})},
    }


def _standard_error(score: Score) -> float:
    if score.metric.startswith("acc"):
        return math.sqrt(score.value * (1 - score.value) / max(1, score.n - 1))
    return (score.high - score.low) / (2 * metrics.Z95)
