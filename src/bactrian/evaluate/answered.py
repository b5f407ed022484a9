"""One task in one language as every model answered it: all that the statistics need, no texts.

What an evaluation measured becomes this once; scores, differences, results of another day and the
table on disk are all made from it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules

Found = Mapping[tuple[str, int], Scored]
Nats = tuple[tuple[float, ...], ...]


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
    parallel: bool = True
    """Whether an id is the same question in every language."""
    blank: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Model to the log-likelihood of each label after an empty input; empty where unasked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is known of an item without its texts."""

    id: str
    hash: str
    """Of contexts, options and gold: the same question asked in the same words."""
    gold: int
    group: str
    cluster: str
    """Items with the same name are one question in several forms or languages."""
    characters: tuple[int, ...]
    """Code points of each option."""
    sizes: tuple[int, ...]
    """UTF-8 bytes of each option."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One task in one language: the questions, and what each model gave every option."""

    task: str
    language: str
    metric: Literal["acc", "bits_per_byte", "f1"]
    signature: str
    questions: tuple[Question, ...]
    nats: Mapping[str, Nats]
    """Model to log-likelihoods [questions][options], in nats, summed over tokens."""
    labels: tuple[str, ...] = ()
    """The options that all items have, for a label task."""
    blank: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the items in order of their first item; none where nobody has one."""
        return tuple(filter(None, dict.fromkeys(one.group for one in self.questions)))

    def part(self, keep: Collection[str]) -> Answered:
        """Return the questions whose ids are in ``keep``."""
        places = [at for at, one in enumerate(self.questions) if one.id in keep]
        return replace(
            self,
            questions=tuple(self.questions[at] for at in places),
            nats={name: tuple(rows[at] for at in places) for name, rows in self.nats.items()},
        )

    def of_group(self, group: str) -> Answered:
        """Return the questions of one group."""
        return self.part({one.id for one in self.questions if one.group == group})


def answered(measured: Measured) -> Answered:
    """Return what was measured without its texts.

    Raises DataError for an option that has no score, or one that is not a number, and for a label
    task whose items do not have the same number of options.
    """
    where = f"{measured.task} {measured.language}"
    questions = tuple(_question(measured, item) for item in measured.items)
    nats = {
        model: tuple(_nats(f"{where}, {model}", item, found) for item in measured.items)
        for model, found in measured.found.items()
    }
    labels: tuple[str, ...] = ()
    if measured.rules.metric == "f1" and measured.items:
        labels = tuple(text.strip() for text in _texts(measured.items[0]))
        for item in measured.items:
            if len(item.options) != len(labels):
                raise DataError(
                    f"{where} {item.id}: {len(item.options)} labels where others have "
                    f"{len(labels)}",
                    "give every item of a label task the same labels in the same order",
                )
    return Answered(
        measured.task,
        measured.language,
        measured.rules.metric,
        measured.signature,
        questions,
        nats,
        labels,
        measured.blank,
    )


def _question(measured: Measured, item: Item) -> Question:
    texts = _texts(item)
    alone = item.id if measured.parallel else f"{measured.language}\n{item.id}"
    return Question(
        item.id,
        table.hash_of(item.pairs(), texts, item.gold)[:16],
        item.gold,
        item.group,
        item.cluster or alone,
        tuple(map(len, texts)),
        tuple(len(text.encode()) for text in texts),
    )


def _texts(item: Item) -> tuple[str, ...]:
    return item.texts or item.options


def _nats(where: str, item: Item, found: Found) -> tuple[float, ...]:
    hint = "run the evaluation again: only what is missing is scored"
    values = []
    for option in range(len(item.options)):
        scored = found.get((item.id, option))
        if scored is None:
            raise DataError(f"{where}: item {item.id} has no score for option {option}", hint)
        if math.isnan(scored.log_likelihood):
            raise DataError(f"{where}: item {item.id} has a score that is not a number", hint)
        values.append(scored.log_likelihood)
    return tuple(values)
