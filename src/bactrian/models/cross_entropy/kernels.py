"""Runs the exponentials of a GPU's rows in Triton, after it agreed with plain torch once.

The first use on a device compares both on a few hard rows; where they differ, or Triton does not
run there, plain torch is used and that is said. Knows nothing of hidden states.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch

from bactrian.events import emit
from bactrian.models.cross_entropy.softmax import exponentials as in_torch

TOLERANCE = 2e-2
"""Largest accepted relative difference: two roundings of bfloat16."""


def exponentials(
    logits: torch.Tensor, targets: torch.Tensor, cap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do what ``softmax.exponentials`` does, in Triton where it was found to agree with it."""
    fused = logits.is_cuda and agrees(logits.device, logits.dtype)
    return (in_triton if fused else in_torch)(logits, targets, cap)


def in_triton(
    logits: torch.Tensor, targets: torch.Tensor, cap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do what ``softmax.exponentials`` does in two kernels; ``logits`` are contiguous."""
    from bactrian.models.cross_entropy.triton_kernels import BLOCK, sums, terms

    rows, vocabulary = logits.shape
    found = torch.empty(rows, 2, device=logits.device)
    given = (logits, targets, found, vocabulary, cap or 0.0)
    sums[(rows,)](*given, num_warps=8)
    terms[(rows, -(-vocabulary // BLOCK.value))](*given, num_warps=8)
    return found[:, 0], found[:, 1]


@cache
def agrees(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether Triton gives on ``device`` what torch gives; says so where it does not."""
    if find_spec("triton") is None:
        return False
    try:
        off = max(difference(device, dtype, cap) for cap in (None, 30.0))
    except Exception as error:  # a missing compiler or driver, an old chip: whatever stops Triton
        emit("warning", text=f"Triton does not run here ({_first_line(error)}); torch is used")
        return False
    if off <= TOLERANCE:
        return True
    emit("warning", text=f"Triton's softmax differs from torch's by {off:.3g}; torch is used")
    return False


def difference(device: torch.device, dtype: torch.dtype, cap: float | None) -> float:
    """Return the largest relative difference of both ways on a few hard rows."""
    logits = torch.linspace(-1, 1, 4 * 9_001, device=device).sin_().reshape(4, -1)
    logits *= torch.tensor([[1.0], [30.0], [1e4], [1.0]], device=device)
    logits[3] += 100
    targets = torch.tensor([0, 9_000, 4_096, 17], device=device)
    fused, plain = logits.to(dtype, copy=True), logits.to(dtype, copy=True)
    pairs = zip(
        (*in_triton(fused, targets, cap), fused.float()),
        (*in_torch(plain, targets, cap), plain.float()),
        strict=True,
    )
    return max(float(((a - b).abs() / b.abs().clamp_min(1e-3)).max()) for a, b in pairs)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
