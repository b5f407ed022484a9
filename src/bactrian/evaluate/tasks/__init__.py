"""Benchmarks as items: texts to score, and which of them is right. No model is known here.

A task is one class of one method; see docs/evaluate.md for how to add one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bactrian.languages import Language
from bactrian.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Item:
    """One question, or one text to be surprised by."""

    id: str
    context: str
    """What stands before; every option follows it."""
    options: tuple[str, ...]
    """Continuations to score; a single one where the text itself is the question."""
    gold: int = 0
    """Index of the right option."""
    texts: tuple[str, ...] = ()
    """What the length of each option is measured on; the options themselves where empty."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Choices of a task that can change its numbers; all of them stand in the signature."""

    metric: Literal["acc", "bits_per_byte"]
    join: Literal["together", "apart"]
    """Whether context and option are encoded together (benchmarks) or apart (as in training)."""
    facts: tuple[tuple[str, str], ...]
    """Further signature fields, such as ("prompt", "native-1")."""


class Task(Protocol):
    """Gives the items of a language."""

    name: str
    rules: Rules
    parallel: bool
    """Whether an id is the same question in every language."""

    def __init__(self, workspace: Workspace, tokenizer: Any = None) -> None:
        """Take what the recipe says; the tokenizer is for prompts by chat template."""

    def languages(self) -> tuple[Language, ...]:
        """Return the languages to measure."""

    def items(self, language: Language) -> Iterator[Item]:
        """Yield the items; raises DataError where the language has none."""
