"""What a report shows, as frozen data. Knows nothing of pages, charts or where it came from.

A report that does not add up is refused here: rows that left without a reason would make every
number under the table a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bactrian.errors import DataError
from bactrian.evaluate.report.evidence import Evidence
from bactrian.schema import Difference, Score

Direction = Literal["ltr", "rtl"]
MACRO = "macro"
"""The language of a number that averages over languages, as ``evaluate.compare`` has it."""
MICRO = "micro"
"""The language of a number over the items of all languages together."""
SPOKEN = {MACRO: "the average over languages", MICRO: "all items of all languages"}
"""What stands in place of a language's name in a sentence."""
AVERAGES = {MACRO: "average", MICRO: "all items"}
"""What stands in place of a language's name in a table or a chart."""


@dataclass(frozen=True, slots=True)
class LanguageLabel:
    """How a language is named, and which way it is written."""

    id: str
    """ISO code, as in the rows."""
    name: str
    """English name."""
    direction: Direction = "ltr"


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """One trained adapter: what it learnt from and what it took."""

    name: str
    languages: tuple[str, ...]
    trainable_parameters: int
    steps: int
    """Optimiser steps."""
    tokens: int
    """Tokens seen in training, prompts included."""
    seconds: float
    """Wall-clock time of the training."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows were rejected: the check's name and the rows it spoke about."""

    check: str
    rows: int


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What became of the source rows in one language; every row is in exactly one place."""

    language: str
    sources: int
    """Rows that were asked for."""
    translated: int
    answered: int
    kept: int
    rejected: int
    missing: int
    """Rows without an answer: the provider, or the recording, had none."""
    train: int
    validation: int
    reasons: tuple[Reason, ...] = ()
    """A row may be rejected for several reasons: they add up to ``rejected`` or more."""

    def __post_init__(self) -> None:
        """Raise ``DataError`` where rows are lost or rejected without a reason."""
        hint = "count the rows again: each is kept, rejected with a reason, or missing"
        accounted = self.kept + self.rejected + self.missing
        if accounted != self.sources:
            raise DataError(
                f"{self.language}: {self.sources} source rows, but {self.kept} kept, "
                f"{self.rejected} rejected and {self.missing} missing are {accounted}",
                hint,
            )
        given = sum(reason.rows for reason in self.reasons)
        if given < self.rejected:
            raise DataError(
                f"{self.language}: {self.rejected} rows were rejected, reasons say {given}", hint
            )
        if self.train + self.validation > self.kept:
            raise DataError(
                f"{self.language}: {self.train} train and {self.validation} validation rows "
                f"of {self.kept} kept",
                hint,
            )


@dataclass(frozen=True, slots=True)
class Point:
    """A loss at a step, in nats per response token."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The losses of one adapter in one language."""

    model: str
    language: str
    """ISO code; empty for a loss over all of the adapter's languages."""
    training: tuple[Point, ...] = ()
    validation: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote, as it wrote it."""

    model: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One held-out instruction with the answers of the base and of the adapters."""

    id: str
    language: str
    instruction: str
    input: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """How to do one part again."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file or folder of the run is."""

    what: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a report shows; what is empty is left out of it."""

    title: str
    date: str
    """Day on which the report was made (ISO 8601)."""
    summary: str
    """What was done, in plain words; paragraphs are parted by an empty line."""
    base: str
    """The base model's id, with its revision where there is one."""
    languages: tuple[LanguageLabel, ...]
    adapters: tuple[AdapterFacts, ...]
    data: tuple[DataFacts, ...] = ()
    curves: tuple[Curve, ...] = ()
    scores: tuple[Score, ...] = ()
    differences: tuple[Difference, ...] = ()
    baselines: tuple[Score, ...] = ()
    """What answers get that know nothing of the question; their rule stands for the model."""
    evidence: tuple[Evidence, ...] = ()
    """What stands behind the scores, by task and language."""
    samples: tuple[Sample, ...] = ()
    commands: tuple[Command, ...] = ()
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()

    def label(self, language: str) -> LanguageLabel:
        """Return how a language is named; by its code where nothing is known of it."""
        known = (label for label in self.languages if label.id == language)
        return next(known, LanguageLabel(language, SPOKEN.get(language, language)))

    @property
    def models(self) -> tuple[str, ...]:
        """Every model named anywhere, those of ``adapters`` first, each once."""
        names = [adapter.name for adapter in self.adapters]
        names += [curve.model for curve in self.curves]
        for difference in self.differences:
            names += [difference.model, difference.against]
        names += [score.model for score in self.scores]
        return tuple(dict.fromkeys(names))
