"""The rows that flow through the stages. Knows nothing of files, providers or models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ALPHA = 0.05
"""Chance of calling noise a difference."""
Severity = Literal["reject", "warn"]
Field = Literal["instruction", "input", "output"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A task in one language; ``id`` is the same in every language (``alpaca-17``)."""

    id: str
    language: str
    """ISO code, as in languages.toml."""
    instruction: str
    input: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an example comes from: who made each part, under which key it was paid for."""

    source: str = ""
    """The collection that the English side comes from, such as ``alpaca``."""
    licence: str = ""
    """SPDX-like name of the licence that the source passes on."""
    translator: str = ""
    translation_key: str = ""
    responder: str = ""
    response_key: str = ""
    date: str = ""
    """Day on which the response arrived (ISO 8601), empty where it is the source's own."""


@dataclass(frozen=True, slots=True)
class Example:
    """An instruction with its output, in one language."""

    id: str
    language: str
    instruction: str
    input: str
    output: str
    provenance: Provenance = field(default_factory=Provenance)
    missing: str = ""
    """Why a translation or a response is lacking; empty where both are there."""
    kept: str = ""
    """Why the row stands in English in another language's file: ``programming``; else empty."""

    @property
    def task(self) -> Instruction:
        """The instruction without its answer."""
        return Instruction(self.id, self.language, self.instruction, self.input)


@dataclass(frozen=True, slots=True)
class Flag:
    """What a check found: which check, how grave, where, and the text that shows it."""

    check: str
    severity: Severity
    field: Field
    reason: str
    """One sentence for a reader, such as ``Latin script, expected Khmer``."""
    evidence: str = ""
    """The span of the field that made the check speak, at most 200 characters."""
    start: int = 0
    """Where the evidence begins, in code points of the field."""


@dataclass(frozen=True, slots=True)
class Score:
    """One number of an evaluation, with what it takes to believe it."""

    model: str
    """``base`` or the adapter's name."""
    task: str
    """``xcopa``, ``held-out``."""
    language: str
    """ISO code; ``macro`` or ``micro`` for an average over languages."""
    metric: str
    """``acc``, ``acc_norm``, ``acc_bytes``, ``f1_macro``, ``f1_weighted`` (shares, 0 to 1; with
    ``_calibrated`` the labels' prior is taken away) or ``bits_per_byte``; of answers that models
    write ``line_language``, ``refusal_rate`` and others (docs/confusion.md)."""
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    n: int
    """Items (questions, held-out ids) behind the number."""
    signature: str
    """Every choice that can change the number, ``key:value|key:value``."""
    higher_is_better: bool = True
    group: str = ""
    """Part of the task, such as EXAMS' ``natural``, or ``clean``; empty for the whole."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models on the same items: ``model`` minus ``against``, paired."""

    model: str
    against: str
    task: str
    language: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    """Independent questions: translations and forms of one question count once."""
    method: str
    """How the interval was made, such as ``paired bootstrap, 10000 draws, seed 0``."""
    higher_is_better: bool = True
    group: str = ""
    """Part of the task, as in ``Score``."""
    model_value: float | None = None
    """The number of the model itself, on the same items."""
    against_value: float | None = None
    p: float | None = None
    """How often models that are alike would differ as much or more, 0 to 1."""
    adjusted: float | None = None
    """``p`` after Holm's correction over the languages of the task."""
    detectable: float | None = None
    """Smallest difference that these items show with 80 % power at 5 %; none where no
    difference would show."""

    @property
    def clear(self) -> bool:
        """The difference is not within the noise.

        The interval excludes zero, and the p, adjusted where it was, is below 5 %.
        """
        p = self.p if self.adjusted is None else self.adjusted
        return (self.low > 0 or self.high < 0) and (p is None or p < ALPHA)

    @property
    def better(self) -> bool:
        """The model is better than what it is held against, beyond the noise."""
        return self.clear and (self.value > 0) == self.higher_is_better
