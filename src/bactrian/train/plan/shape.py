"""What a plan follows from, beside the data. Knows nothing of rows.

Which rows a step holds follows from everything but ``micro_batch_tokens``, ``packing`` and
``processes``: these say only how a step is cut, so they may change without changing the training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bactrian.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Shape:
    """The settings of a plan; raises ConfigError for values that cannot be meant."""

    epochs: float
    """Passes over as many rows as there are; part of one is its first steps."""
    max_steps: int
    """Optimizer steps to stop after, whatever ``epochs`` says; 0 means no limit."""
    batch_rows: int
    """Most rows of an optimizer step; 0 takes ``batch_tokens``."""
    batch_tokens: int
    """Tokens of an optimizer step, padding not counted, on average over an epoch; unused where
    ``batch_rows`` is set."""
    micro_batch_tokens: int
    """Most tokens computed at once, padding counted; a row that is longer is computed alone."""
    packing: bool
    """Rows of a micro-batch lie end to end; otherwise they are padded to the longest."""
    temperature: float
    """Languages are drawn by rows^(1/temperature): 1 as many as there are, inf all alike."""
    seed: int
    """Every random choice follows from it."""
    cap: int = 0
    """Rows of a language that count for its share; 0 counts all (Raffel et al. 2020, 3.5.2)."""
    processes: int = 1
    """Processes that have a step between them; it is cut so that all have nearly as much to do."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise ConfigError(f"epochs = {self.epochs} is no training", "give a number above 0")
        if not self.temperature > 0:  # also refuses NaN
            raise ConfigError(
                f"temperature = {self.temperature} has no meaning",
                "1 draws languages as they are, more draws them more evenly",
            )
        for name in ("max_steps", "batch_rows", "batch_tokens", "cap"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} = {getattr(self, name)} is below 0", f"set {name} = 0")
        if not (self.batch_rows or self.batch_tokens):
            raise ConfigError(
                "batch_rows and batch_tokens are both 0: a step would have no size",
                "set batch_rows (128, say) or batch_tokens (16384, say)",
            )
        if self.processes < 1:
            raise ConfigError(f"{self.processes} processes cannot train", "start one at least")
        if self.micro_batch_tokens < 1:
            raise ConfigError(
                f"micro_batch_tokens = {self.micro_batch_tokens} holds no token",
                "set it to what fits the memory (4096, say)",
            )
