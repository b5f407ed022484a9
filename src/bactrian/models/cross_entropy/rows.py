"""Cross-entropy of a frozen head with all logits of a few rows at once: exact for any logits.

This is the way of a GPU, where large products count and the elementwise part is two kernels, and
of rows that a CPU's tiles have no room for. Logits and terms are of the head's dtype, sums are
float32.
"""

from __future__ import annotations

import torch

from bactrian.models.cross_entropy.kernels import exponentials
from bactrian.models.cross_entropy.plain import PlainHead
from bactrian.models.cross_entropy.softmax import Found, Sums, finish

BYTES = {"cpu": 64 << 20}
BYTES_ELSEWHERE = 512 << 20
"""Largest piece of logits: 1,024 rows of 250,880 in half precision on a GPU."""


def in_rows(
    hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead, *, gradient: bool
) -> Found:
    """Return -log p of ``targets`` [n] at ``hidden`` [n, width] and, if wanted, its gradient."""
    nats = torch.empty(len(hidden), device=hidden.device)
    gradients = torch.empty(hidden.shape, device=hidden.device) if gradient else None
    step = rows_at_once(head, hidden.device)
    for start in range(0, len(hidden), step):
        rows = slice(start, start + step)
        piece = hidden[rows].to(head.dtype)
        found = finish(_sums(piece, targets[rows], head, gradient), piece, targets[rows], head)
        nats[rows] = found.nats
        if gradients is not None and found.gradients is not None:
            gradients[rows] = found.gradients
    return Found(nats, gradients)


def rows_at_once(head: PlainHead, device: torch.device) -> int:
    """Return how many rows make a piece: a multiple of 128 where that many fit."""
    fitting: int = BYTES.get(device.type, BYTES_ELSEWHERE) // (len(head) * head.dtype.itemsize)
    return fitting // 128 * 128 or max(1, fitting)


def _sums(hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead, gradient: bool) -> Sums:
    weight = head.rows(0, len(head))
    shift = head.shift(0, len(head))
    begin = hidden.new_zeros(1) if shift is None else shift.to(head.dtype)
    beta = 0 if shift is None else 1
    logits = torch.addmm(begin, hidden, weight.t(), beta=beta, alpha=head.scale)
    total, highest = exponentials(logits, targets, head.cap)
    return Sums(total, highest, logits @ weight if gradient else None)
