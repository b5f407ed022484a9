"""What a layer of attention computes: how queries are scored, and where documents end.

Knows nothing of models, devices or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Scores:
    """How a query is scored against a key, beside their product; always causal."""

    scale: float
    """What the product is multiplied by."""
    window: int | None = None
    """Keys that a query sees, its own included; None takes all before it."""
    cap: float | None = None
    """Scaled products go through cap x tanh(product / cap), as in Gemma 2."""
    slopes: torch.Tensor | None = None
    """float32 [heads]: slope x position of the key is added to the score (ALiBi, BLOOM)."""
    dropout: float = 0.0
    """Share of probabilities set to zero in training."""

    def sees_all(self, length: int) -> bool:
        """Whether the window lets every query of a row of this length see all keys before it."""
        return self.window is None or self.window >= length


class Documents:
    """Where the documents of one packed row end; tensors are made once, for all layers."""

    def __init__(self, lengths: Sequence[int]) -> None:
        """Take the documents' lengths in tokens, in order; raises ValueError for an empty one."""
        self.lengths = tuple(int(length) for length in lengths)
        if not self.lengths or min(self.lengths) < 1:
            raise ValueError("a packed row has documents of at least one token each")
        self._made: dict[tuple[str, str], Any] = {}

    @property
    def tokens(self) -> int:
        """Tokens of the row."""
        return sum(self.lengths)

    @property
    def spans(self) -> list[slice]:
        """Return each document's place in the row."""
        return [slice(*span) for span in pairwise(accumulate(self.lengths, initial=0))]

    def bounds(self, device: torch.device) -> torch.Tensor:
        """Return int32 [documents + 1]: where each begins, and where the last one ends."""
        key = ("bounds", str(device))
        if key not in self._made:
            ends = list(accumulate(self.lengths, initial=0))
            self._made[key] = torch.tensor(ends, dtype=torch.int32).to(device)
        made: torch.Tensor = self._made[key]
        return made

    def numbers(self, device: torch.device) -> torch.Tensor:
        """Return int32 [tokens]: the number of each token's document."""
        key = ("numbers", str(device))
        if key not in self._made:
            counts = torch.tensor(self.lengths)
            numbers = torch.arange(len(self.lengths), dtype=torch.int32)
            self._made[key] = torch.repeat_interleave(numbers, counts).to(device)
        made: torch.Tensor = self._made[key]
        return made

    def keep(self, name: str, device: torch.device, make: Any) -> Any:
        """Return what ``make()`` gave the first time: a kernel's own description of the row."""
        key = (name, str(device))
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def positions(lengths: Sequence[int]) -> list[int]:
    """Return the position of every token of a packed row: each document begins at 0."""
    return [place for length in lengths for place in range(length)]
