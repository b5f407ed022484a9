"""What writes answers: a model in this process, or one that is served (``backends.writing``).

Knows prompts as numbers and answers as texts. Knows nothing of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from bactrian.models.base import Base
from bactrian.models.batched import batches, generate_together, takes_padding
from bactrian.models.generation import Generated, context, encode


class Writer(Protocol):
    """Answers prompts greedily, several at once."""

    tokenizer: Any
    """What a prompt style may need: the base's, or what stands for it."""
    limit: int | None
    """Tokens of a prompt and its answer at most; None where nobody says."""

    def prepare(self, prompts: Iterable[str]) -> None:
        """Get ready to encode these, many at once where that is quicker."""

    def encode(self, prompt: str) -> list[int]:
        """Return the prompt as numbers; raises ConfigError for one that leaves no room."""

    def plan(self, lengths: Sequence[int], most: int, budget: int) -> Iterator[tuple[int, ...]]:
        """Yield places of prompts that are answered together; see ``models.batched.batches``."""

    def greedy(self, prompts: Sequence[Sequence[int]], most: int) -> list[Generated]:
        """Return the answers of at most ``most`` tokens, in order."""


class Here:
    """A model in this process, with the adapter that is switched on."""

    def __init__(self, base: Base, model: Any) -> None:
        """Take the base and the model that adapters are on, which may be the same."""
        self.tokenizer = base.tokenizer
        self.limit = context(base.model, base.tokenizer)
        self._model = model
        self._padded = takes_padding(base.model)

    def prepare(self, prompts: Iterable[str]) -> None:
        """Need nothing: the tokenizer is here."""

    def encode(self, prompt: str) -> list[int]:
        """Return the prompt's token ids; see ``models.generation.encode``."""
        return encode(self._model, self.tokenizer, prompt)

    def plan(self, lengths: Sequence[int], most: int, budget: int) -> Iterator[tuple[int, ...]]:
        """Yield batches of at most ``budget`` tokens; a recurrent model answers one by one."""
        return batches(lengths, most, budget if self._padded else 1)

    def greedy(self, prompts: Sequence[Sequence[int]], most: int) -> list[Generated]:
        """Return the answers; an answer ends where the context does."""
        if self.limit is not None:
            most = min(most, self.limit - max(map(len, prompts)))
        return generate_together(self._model, self.tokenizer, prompts, most)
