"""The kernels that there are for a device, fastest first. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bactrian.models.attention import blocks, cuda, sdpa
from bactrian.models.attention.scores import Documents, Scores

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Kernel = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, Scores, Documents | None], torch.Tensor
]
"""Query, key and value [rows, heads, length, width] to mixed ones [rows, length, heads, width]."""


@dataclass(frozen=True, slots=True)
class Way:
    """One kernel, and what it takes."""

    name: str
    attend: Kernel
    handles: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Scores, Documents | None], bool]


ALWAYS = Way("torch's kernel for each document", sdpa.attend, sdpa.handles)
BLOCKS = Way("blocks of scores", blocks.attend, blocks.handles)
ON_CPU = (BLOCKS, ALWAYS)
ON_CUDA = (
    Way("torch's kernel", sdpa.attend, sdpa.is_fast),
    Way("torch's variable-length kernel", cuda.varlen, cuda.varlen_handles),
    Way("flash-attn", cuda.flash, cuda.flash_handles),
    Way("flex_attention", cuda.flex, cuda.flex_handles),
    ALWAYS,
)


def ways(device: torch.device) -> tuple[Way, ...]:
    """Return the kernels for a device; the last one takes everything."""
    if device.type == "cuda":
        return ON_CUDA
    return ON_CPU if device.type == "cpu" else (ALWAYS,)


def chains(device: torch.device) -> list[tuple[Way, ...]]:
    """Return what to try in order: all kernels, then without the first, down to the last."""
    found = ways(device)
    return [found[start:] for start in range(len(found))]
