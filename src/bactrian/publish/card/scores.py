"""What an evaluation left in ``results.json``, as far as a card tells it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from bactrian.errors import ConfigError, DataError
from bactrian.schema import Difference, Score

BASE = "base"
AVERAGES = ("macro", "micro")
Kind = TypeVar("Kind", Score, Difference)


@dataclass(frozen=True, slots=True)
class Found:
    """One number of the model, beside the base's on the same items."""

    score: Score
    base: Score | None
    difference: Difference | None
    """The model minus the base, paired; None where that was not computed."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The main number of every task in every language."""

    found: tuple[Found, ...]
    date: str
    """Day on which ``results.json`` was written (ISO 8601)."""
    notes: tuple[str, ...] = ()


def evaluation(place: Path, model: str, fingerprint: str) -> Evaluation | None:
    """Return the numbers of ``model``, or None where the folder has none of it.

    ``fingerprint`` is that of the base (empty: unknown). Raises ConfigError where there is no
    ``results.json``, DataError where it is damaged or was measured on another base.
    """
    told = _told(place)
    path = _path(place)
    try:
        scores = [_one(Score, each) for each in (*told["scores"], *told.get("averages", ()))]
        differences = [_one(Difference, each) for each in told.get("differences", ())]
        models = tuple(told["models"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not what bactrian eval writes: {error!r}", "evaluate again: bactrian eval"
        ) from None
    if model not in models:
        return None
    mine = tuple(_found(scores, differences, model))
    for one in mine:
        _check_base(path, one.score, fingerprint)
    date = time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))
    return Evaluation(mine, date, tuple(told.get("notes", ())))


def parts_of(signature: str) -> dict[str, str]:
    """Return the choices that a signature names."""
    return dict(part.split(":", 1) for part in signature.split("|") if ":" in part)


def is_bits(metric: str) -> bool:
    """Whether the number is in bits; others are shares from 0 to 1."""
    return metric.startswith("bits")


def bounded(score: Score | Difference) -> bool:
    """Whether the interval has two ends."""
    return math.isfinite(score.low) and math.isfinite(score.high)


def _found(scores: list[Score], differences: list[Difference], model: str) -> Iterator[Found]:
    main: dict[str, str] = {}
    for score in scores:
        main.setdefault(score.task, score.metric)
    bases = {_place(score): score for score in scores if score.model == BASE}
    paired = {
        _place(one): one
        for one in differences
        if (one.model, one.against) == (model, BASE) and not one.group
    }
    mine = [s for s in scores if s.model == model and not s.group and s.metric == main[s.task]]
    for task in dict.fromkeys(score.task for score in mine):
        for score in mine:
            if score.task == task:
                yield Found(score, bases.get(_place(score)), paired.get(_place(score)))


def _place(one: Score | Difference) -> tuple[str, str, str, str]:
    return one.task, one.language, one.metric, one.group


def _check_base(path: Path, score: Score, fingerprint: str) -> None:
    there = parts_of(score.signature).get("base", "")
    if fingerprint and there and not fingerprint.startswith(there):
        raise DataError(
            f"{path} was measured on another base ({there}) than the adapter's ({fingerprint[:8]})",
            "evaluate on the adapter's own base, or leave --results out",
        )


def _path(place: Path) -> Path:
    return place / "results.json" if place.is_dir() else place


def _told(place: Path) -> dict[str, Any]:
    path = _path(place)
    if not path.is_file():
        raise ConfigError(
            f"{place} has no results.json", "name the folder that bactrian eval wrote: --results"
        )
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}", "evaluate again: bactrian eval") from None
    if not isinstance(told, dict):
        raise DataError(f"{path} is not what bactrian eval writes", "evaluate again: bactrian eval")
    return told


def _one(kind: type[Kind], told: dict[str, Any]) -> Kind:
    names = {each.name for each in fields(kind)}
    kept = {key: value for key, value in told.items() if key in names}
    kept["low"] = -math.inf if kept["low"] is None else kept["low"]
    kept["high"] = math.inf if kept["high"] is None else kept["high"]
    return kind(**kept)
