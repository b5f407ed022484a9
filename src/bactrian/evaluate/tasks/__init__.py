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
    contexts: tuple[str, ...] = ()
    """What stands before each option, where that is what differs (XWinograd); else empty."""
    group: str = ""
    """Part of the task that is reported by itself as well: EXAMS' natural, social, other."""
    cluster: str = ""
    """What items share that are one question in several forms or languages; the id where empty."""

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return context and continuation of each option."""
        contexts = self.contexts or (self.context,) * len(self.options)
        return tuple(zip(contexts, self.options, strict=True))


BLANK = "(nothing)"
"""Id of the item that asks a task's labels after no text at all; see ``Task``."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Choices of a task that can change its numbers; all of them stand in the signature."""

    metric: Literal["acc", "bits_per_byte", "f1"]
    """``f1``: options are labels that every item has in the same order (SentimentX, SIB-200)."""
    join: Literal["together", "apart"]
    """Whether context and option are encoded together (benchmarks) or apart (as in training)."""
    facts: tuple[tuple[str, str], ...]
    """Further signature fields, such as ("prompt", "native-1")."""


class Task(Protocol):
    """Gives the items of a language.

    A task of labels may have ``blank(language) -> Item`` as well: the item of id ``BLANK`` that
    asks the labels after no text, which is scored beside the others for a calibrated score. One
    whose name may go on (``exams:letter``) takes what stands after it as a third argument, a text.
    """

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
