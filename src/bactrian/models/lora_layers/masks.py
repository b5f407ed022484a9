"""Dropout whose mask is a seed: drawn in the forward pass, drawn again in the backward pass.

The mask is all bits or none of each value. On the CPU its numbers come from NumPy's SFC64, since
torch draws one by one there (a sixth of the time of torch's dropout, measured); elsewhere from
torch. Knows nothing of layers.
"""

from __future__ import annotations

import numpy as np
import torch

GRAIN = 2**15
"""A probability is rounded to a multiple of 1 / GRAIN, and the scale follows what it became."""
OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers as wide as a value, by bytes."""


class Masks:
    """A stream of masks that follows from its seed and the device alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        if device.type == "cpu":
            self._words = np.random.SFC64(seed)
        else:
            self._generator = torch.Generator(device).manual_seed(seed)

    def draw(self, shape: torch.Size, dropout: float, dtype: torch.dtype) -> torch.Tensor:
        """Return a mask for values of ``dtype``: integers, each -1 (kept) or 0 (dropped)."""
        number = self._numbers(shape)
        number.neg_().add_(_dropped(dropout) - 1)  # below zero where the value is kept
        return number.bitwise_right_shift_(15).to(OF_SIZE[dtype.itemsize])

    def _numbers(self, shape: torch.Size) -> torch.Tensor:
        """Return numbers from 0 to GRAIN - 1, int16."""
        if self.device.type != "cpu":
            empty = torch.empty(shape, dtype=torch.int16, device=self.device)
            return empty.random_(0, GRAIN, generator=self._generator)
        words = self._words.random_raw(-(-shape.numel() // 4)).view(np.int16)[: shape.numel()]
        return torch.from_numpy(words).bitwise_and_(GRAIN - 1).view(shape)


def kept_share(dropout: float) -> float:
    """Return the share of values that a mask keeps, exactly."""
    return 1 - _dropped(dropout) / GRAIN


def _dropped(dropout: float) -> int:
    """Return how many of GRAIN numbers mean that a value is dropped; never all."""
    return min(round(dropout * GRAIN), GRAIN - 1)


def masked(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return x with zeros where the mask says so."""
    return (x.view(mask.dtype) & mask).view(x.dtype)
