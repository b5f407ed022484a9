"""Hands a gradient that was made in the forward pass to autograd. Knows nothing of softmaxes."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.autograd.function import once_differentiable

from bactrian.models.cross_entropy.softmax import Found


class Way(Protocol):
    """Computes -log p of each row, and its gradient where that is wanted."""

    def __call__(self, hidden: torch.Tensor, /, *, gradient: bool) -> Found:
        """Return nats, float32 [n], and gradients [n, width] for ``hidden`` [n, width]."""


class GradientMadeInForward(torch.autograd.Function):  # type: ignore[misc,unused-ignore]
    """The nats of a way; the backward pass weighs the gradient that came with them."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, way: Way) -> torch.Tensor:
        """Return float32 [n]."""
        found = way(hidden, gradient=True)
        ctx.save_for_backward(found.gradients)
        ctx.dtype = hidden.dtype
        return found.nats

    @staticmethod
    @once_differentiable  # type: ignore[misc,untyped-decorator,unused-ignore]
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Weigh the rows, then round them: the one rounding that half precision asks for."""
        (gradients,) = ctx.saved_tensors
        return (gradients * upstream[0].unsqueeze(1)).to(ctx.dtype), None


def with_gradient(hidden: torch.Tensor, way: Way) -> torch.Tensor:
    """Return the nats of ``way``, differentiable in ``hidden`` where that wants a gradient."""
    if not (torch.is_grad_enabled() and hidden.requires_grad):
        return way(hidden.detach(), gradient=False).nats
    found: torch.Tensor = GradientMadeInForward.apply(hidden, way)
    return found
