"""What a training reported, as one of its adapters would have reported it alone.

Entries are the Trainer's: ``step`` with ``loss`` and ``loss_<language>``, or with
``validation_<language>``. Of several adapters in one pass names begin with the adapter's, and
entries go on for as long as the longest of them trains. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bactrian.train.plan import Plan

Entry = dict[str, float]
TRAINING, HELD_OUT = "loss_", "validation_"
MEAN = "mean_"
"""Begins the name of an adapter's training loss over its languages, where there are several."""


@dataclass(frozen=True, slots=True)
class Course:
    """How the loss of one language went, nats a token."""

    first: float
    last: float


def own(history: Iterable[Entry], adapter: str, plan: Plan) -> list[Entry]:
    """Return what one of several adapters would have reported: its losses, under its own steps."""
    found: list[Entry] = []
    held_out_at = -1
    for entry in history:
        mine = _renamed(entry, adapter)
        if not mine:
            continue
        step = min(int(entry["step"]), plan.steps)
        if any(name.startswith(HELD_OUT) for name in mine):
            if step == held_out_at:
                continue  # it was done before, and only measured again
            held_out_at = step
        else:
            mine["epoch"] = plan.epoch_at(step)
        found.append({**mine, "step": step})
    # alone, held-out rows are scored before a step is reported
    return sorted(found, key=lambda entry: (entry["step"], "epoch" in entry))


def courses(history: Iterable[Entry], kind: str, languages: Sequence[str]) -> dict[str, Course]:
    """Return first and last loss of each language that has any; ``kind`` begins their names."""
    found: dict[str, Course] = {}
    for entry in history:
        for language in languages:
            loss = entry.get(kind + language)
            if loss is not None:
                first = found[language].first if language in found else loss
                found[language] = Course(first, loss)
    return found


def _renamed(entry: Entry, adapter: str) -> Entry:
    """Return the adapter's own losses of an entry, named as if it were alone."""
    mine = {
        kind + name.removeprefix(f"{kind}{adapter}/"): loss
        for name, loss in entry.items()
        for kind in (TRAINING, HELD_OUT)
        if name.startswith(f"{kind}{adapter}/")
    }
    if mine and f"{MEAN}{adapter}" in entry:
        mine["loss"] = entry[f"{MEAN}{adapter}"]
    return mine
