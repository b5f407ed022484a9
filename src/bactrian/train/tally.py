"""Nats and tokens by language since the last report, summed where the model is.

Knows nothing of models or batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Tally:
    """Two sums for each name: -log p, and how many tokens it was of."""

    def __init__(self, names: Sequence[str], device: Any = "cpu") -> None:
        self.names = tuple(names)
        self._sums = torch.zeros(2, len(names), dtype=torch.float64, device=device)

    def add(self, nats: torch.Tensor, names: torch.Tensor) -> None:
        """Count -log p [n] of tokens, of the names with these indices, int64 [n]."""
        both = torch.stack([nats.double(), torch.ones_like(nats, dtype=torch.float64)])
        self._sums.index_add_(1, names, both)

    def gather(self, *, everywhere: bool = False) -> None:
        """Add up what all processes have counted.

        The first keeps it and the others begin anew; or all of them have it ``everywhere``.
        """
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self._sums)
            if distributed.get_rank() and not everywhere:
                self._sums.zero_()

    def means(self) -> dict[str, float]:
        """Return nats a token by name, of the names that have any."""
        nats, counts = self._sums.tolist()
        return {
            name: total / count
            for name, total, count in zip(self.names, nats, counts, strict=True)
            if count
        }

    @property
    def tokens(self) -> int:
        """Tokens counted."""
        return int(self._sums[1].sum())

    def mean(self, before: str = "") -> float:
        """Return nats a token over all names that begin so; nan where nothing was counted."""
        nats, counts = self._sums[:, self._places(before)].sum(dim=1).tolist()
        return nats / counts if counts else float("nan")

    def of(self, before: str) -> int:
        """Return the tokens counted for names that begin so."""
        return int(self._sums[1, self._places(before)].sum())

    def _places(self, before: str) -> list[int]:
        return [place for place, name in enumerate(self.names) if name.startswith(before)]

    def clear(self) -> None:
        """Begin anew."""
        self._sums.zero_()

    def state(self) -> list[list[float]]:
        """Return the sums, exactly."""
        kept: list[list[float]] = self._sums.tolist()
        return kept

    def load(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from what ``state`` returned."""
        self._sums.copy_(torch.tensor(state, dtype=torch.float64))
