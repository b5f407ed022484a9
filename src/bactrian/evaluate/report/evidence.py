"""What stands behind a score, as frozen data: answers by option, the questions that went worst, and
what the texts cost in tokens. Knows nothing of files, pages or where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One item and what each model made of it."""

    id: str
    context: str
    options: tuple[str, ...]
    """As they are shown: with what stands before them where that is what differs."""
    gold: int
    values: tuple[float, ...]
    """By model: the margin of the right option over the best wrong one, in nats; for a text
    without options its bits per byte."""
    picked: tuple[int, ...] = ()
    """By model: the option it finds most likely; empty for a text."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the scored texts of a language cost under the base's tokenizer."""

    items: int
    tokens: int
    graphemes: int
    """Characters as a reader counts them."""
    bytes: int
    """In UTF-8."""
    cut: int = 0
    """Items whose context was longer than the model and was cut from the left."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One task in one language."""

    task: str
    language: str
    items: int
    models: tuple[str, ...]
    focus: str
    """The model whose worst items are shown."""
    worst: tuple[Question, ...]
    """The focus model's worst first."""
    cost: Cost
    labels: tuple[str, ...] = ()
    """What the options are called, where every item has as many; empty for texts."""
    key: tuple[int, ...] = ()
    """How often each of them is right."""
    picked: Mapping[str, tuple[int, ...]] | None = None
    """How often each model picks each of them."""
    constant: Mapping[str, str] | None = None
    """Model to the label that, always given, has the same F1 as the model."""
    named: bool = False
    """The labels are the task's own words (positive, neutral …), not places in a list."""
    choice: bool = True
    """There are options to choose from; otherwise it is text to be surprised by."""
