"""Gates: what a change may cost, and whether the data say that it cost more.

``xcopa:macro >= -1.0`` lets the average fall by one percentage point. A gate is broken where the
whole 95 % interval lies beyond what is allowed: worse, and not by chance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bactrian.errors import ConfigError, LanguageError, did_you_mean
from bactrian.evaluate.metrics import MACRO, MICRO
from bactrian.languages import get
from bactrian.schema import Difference

Outcome = Literal["holds", "worse", "cannot be told"]
EXAMPLES = 'write "xcopa:macro >= -1.0", "exams:et >= -2" or "held-out:macro <= 0.02"'
_GATE = re.compile(
    r"\s*(?P<task>[^\[\]\s]+?)(?:\[(?P<part>[^\[\]]+)\])?:(?P<language>[^:\s]+?)"
    r"\s*(?P<sign>>=|<=)\s*(?P<limit>[-+−]?(?:\d+(?:\.\d*)?|\.\d+))\s*(?:@\s*95\s*%)?\s*"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on the difference of one number."""

    told: str
    task: str
    part: str
    """A group of the task or a metric, in brackets; empty for the task's main number."""
    language: str
    """Code, ``macro`` or ``micro``."""
    at_least: bool
    """Whether the difference has to be at least the limit, for numbers where more is better."""
    limit: float
    """As written: percentage points for shares, bits for bits per byte."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the data say about a gate."""

    gate: str
    outcome: Outcome
    words: str
    difference: Difference


def parse(told: str) -> Gate:
    """Return the gate of a text; raises ConfigError for one that cannot be meant."""
    found = _GATE.fullmatch(told)
    if found is None:
        raise ConfigError(f"{told!r} is no gate", EXAMPLES)
    return Gate(
        told.strip(),
        found["task"],
        (found["part"] or "").strip(),
        _language(found["language"]),
        found["sign"] == ">=",
        float(found["limit"].replace("−", "-")),
    )


def judge(gate: Gate, differences: Sequence[Difference]) -> Verdict:
    """Return whether a gate holds; raises ConfigError where there is no such number."""
    found = _found(gate, differences)
    if gate.at_least != found.higher_is_better:
        better, sign = ("more", ">=") if found.higher_is_better else ("less", "<=")
        raise ConfigError(
            f"{gate.told}: of {found.metric} {better} is better, the gate asks for the contrary",
            f"write it with {sign}",
        )
    scale = 1.0 if found.metric == "bits_per_byte" else 0.01
    limit = gate.limit * scale
    low, high = (found.low, found.high) if gate.at_least else (-found.high, -found.low)
    floor = limit if gate.at_least else -limit
    outcome: Outcome = "worse" if high < floor else "holds" if low >= floor else "cannot be told"
    return Verdict(gate.told, outcome, _words(gate, found, outcome), found)


def number(value: float, metric: str) -> str:
    """Return a difference as it is read: percentage points, or bits with three decimals."""
    if metric == "bits_per_byte":
        return f"{value:+.3f}"
    return f"{100 * value:+.1f}"


def _words(gate: Gate, found: Difference, outcome: Outcome) -> str:
    unit = "bits a byte" if found.metric == "bits_per_byte" else "points"
    value, low, high = (number(v, found.metric) for v in (found.value, found.low, found.high))
    allowed = f"{gate.limit:+g} {unit}"
    measured = f"{found.model} less {found.against} is {value} {unit}, 95 % [{low}, {high}]"
    if outcome == "worse":
        return f"{measured}: worse than {allowed} allows, and not by chance"
    if outcome == "holds":
        return f"{measured}: wholly within {allowed}"
    shown = "no difference would show on so few items"
    if found.detectable is not None:
        size = number(found.detectable, found.metric).lstrip("+")
        shown = f"{found.n} questions show differences from {size} {unit}"
    return f"{measured}: reaches past {allowed}, the data are too small to tell ({shown})"


def _found(gate: Gate, differences: Sequence[Difference]) -> Difference:
    tasks = dict.fromkeys(one.task for one in differences)
    if gate.task not in tasks:
        raise ConfigError(f"{gate.told}: no results of {gate.task}", did_you_mean(gate.task, tasks))
    mine = [one for one in differences if one.task == gate.task]
    parts = dict.fromkeys(name for one in mine for name in (one.metric, one.group) if name)
    if gate.part and gate.part not in parts:
        raise ConfigError(
            f"{gate.told}: {gate.task} has no part {gate.part} here", did_you_mean(gate.part, parts)
        )
    mine = [one for one in mine if _is_part(one, gate.part)]
    languages = dict.fromkeys(one.language for one in mine)
    for one in mine:
        if one.language == gate.language:
            return one
    raise ConfigError(
        f"{gate.told}: {gate.task} has no {gate.language} here",
        did_you_mean(gate.language, languages),
    )


def _is_part(one: Difference, part: str) -> bool:
    return part == one.group if one.group or part != one.metric else True


def _language(told: str) -> str:
    if told in (MACRO, MICRO):
        return told
    try:
        return get(told).code
    except LanguageError as error:
        near = did_you_mean(told, (MACRO, MICRO))
        hint = near if near.startswith("did you mean") else error.hint
        raise ConfigError(f"{error.problem} in a gate", hint) from None
