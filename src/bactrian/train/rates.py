"""The learning rate over a training, as a factor of its highest. Knows no optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bactrian.recipe import Train

Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True)  # no slots: torch keeps its __dict__ in checkpoints
class Rates:
    """A warm-up, then a way down; the factor of step ``steps`` is that after the last one."""

    steps: int
    warmup: int
    schedule: Schedule = "linear"

    def __call__(self, step: int) -> float:
        """Return the factor of the learning rate at a step, from 0 on."""
        if step < self.warmup:
            return step / self.warmup
        if self.schedule == "constant":
            return 1.0
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return 1 - done if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


def rates(train: Train, steps: int) -> Callable[[int], float]:
    """Return the factor by step that the recipe tells for a training of so many steps."""
    warmup = train.warmup_steps or math.ceil(train.warmup * steps)
    # the first step of a warm-up has rate zero: a single step would learn nothing
    return Rates(steps, min(warmup, steps - 1), train.schedule)
