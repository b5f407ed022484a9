"""Cross-entropy at response tokens only, with no [tokens, vocabulary] tensor kept.

The head is frozen, so the gradient of the hidden states is made in the forward pass, a few rows of
the head at a time: the logits of one chunk exist at once, nothing else. Knows nothing of batches.
"""

from __future__ import annotations

from typing import Any

import torch

from bactrian.models.head import Head

CHUNK_ROWS = 256
"""Rows of the head at once: the chunk's logits are passed over several times and stay in cache."""


class _FrozenHeadLoss(torch.autograd.Function):
    """-log p of each target; backward multiplies the gradients made in forward."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
        nats = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        gradients = torch.empty_like(hidden)
        for start in range(0, len(hidden), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            nats[rows], gradients[rows] = _chunk(hidden[rows], targets[rows], head)
        ctx.save_for_backward(gradients)
        return nats

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradients * upstream[0].unsqueeze(-1).to(gradients.dtype), None, None


def _chunk(
    hidden: torch.Tensor, targets: torch.Tensor, head: Head
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -log p [n] and its gradient [n, width]; the logits' memory becomes the gradient's."""
    logits = head.logits(hidden)
    slope = None if head.cap is None else 1 - (logits / head.cap).square()  # of cap * tanh(x / cap)
    at = targets.unsqueeze(1)
    total = logits.logsumexp(dim=1, keepdim=True)
    nats = (total - logits.gather(1, at)).squeeze(1)
    gradient = logits.sub_(total).exp_()  # softmax, then minus one at the target
    gradient.scatter_add_(1, at, torch.full_like(at, -1, dtype=gradient.dtype))
    if slope is not None:
        gradient *= slope
    if head.scale != 1.0:
        gradient *= head.scale
    weight = head.linear.weight
    return nats, gradient.to(weight.dtype) @ weight


def response_nats(hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    """Return -log p, float32 [n], of ``targets`` [n] at hidden states [n, width].

    The gradient is right for any weighting of the rows; the head must not be trained.
    """
    found: torch.Tensor = _FrozenHeadLoss.apply(hidden, targets, head)
    return found
