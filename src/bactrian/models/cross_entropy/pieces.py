"""Cross-entropy through a head's own forward, a few rows at a time: quantised heads and adapters.

The logits of one piece exist at once. Where the head is frozen its gradient is made at once too;
where something in it is trained the logits are made anew in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from bactrian.models.cross_entropy.softmax import Found
from bactrian.models.head import Head

BYTES = 128 << 20
"""Largest piece of float32 logits."""


def in_pieces(hidden: torch.Tensor, targets: torch.Tensor, head: Head, *, gradient: bool) -> Found:
    """Return -log p of ``targets`` [n] and its gradient in ``hidden`` [n, width] if wanted."""
    nats: list[torch.Tensor] = []
    gradients: list[torch.Tensor] = []
    for piece, chosen in _pieces(hidden, targets, head):
        with torch.set_grad_enabled(gradient):
            start = piece.detach().requires_grad_(gradient)
            found = _nats(start, chosen, head)
            if gradient:
                gradients += torch.autograd.grad(found.sum(), start)
        nats.append(found.detach())
    return Found(torch.cat(nats), torch.cat(gradients).float() if gradient else None)


def recomputed(hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    """Return -log p of ``targets``, differentiable in whatever the head trains."""
    return torch.cat(
        [
            checkpoint(_nats, piece, chosen, head, use_reentrant=False)
            for piece, chosen in _pieces(hidden, targets, head)
        ]
    )


def _pieces(
    hidden: torch.Tensor, targets: torch.Tensor, head: Head
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    rows = max(1, BYTES // (4 * vocabulary(head)))
    return zip(hidden.split(rows), targets.split(rows), strict=True)


def vocabulary(head: Head) -> int:
    """Return the number of logits; packed weights do not tell by their shape."""
    told: int | None = getattr(head.linear, "out_features", None)
    return len(head.linear.weight) if told is None else told


def _nats(hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    nats: torch.Tensor = cross_entropy(head.logits(hidden), targets, reduction="none")
    return nats
