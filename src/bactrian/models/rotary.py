"""Rotary positions in three passes over queries and keys, and three back.

transformers' function turns half of the head round with a concatenation: five passes, and a dozen
back with zeros that are filled in. Where a model's own function gives the same numbers for random
input, its attention modules get a copy of their forward that calls this one; nothing global is
touched. Knows nothing of attention.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch

from bactrian.models.norms import close

NAME = "apply_rotary_pos_emb"


class _Turn(torch.autograd.Function):
    """(a, b) to (a cos - b sin, b cos + a sin) of the halves of x [..., width]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        turned = x * cos
        turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
        turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
        return turned

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slope,) = upstream
        cos, sin = ctx.saved_tensors
        half = slope.shape[-1] // 2
        down = slope * cos
        down[..., :half].addcmul_(slope[..., half:], sin[..., half:])
        down[..., half:].addcmul_(slope[..., :half], sin[..., :half], value=-1)
        return down, None, None


def turned(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return q and k [rows, heads, length, width] turned by cos, sin [rows, length, width]."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return _Turn.apply(q, cos, sin), _Turn.apply(k, cos, sin)


def fast_rotary(module: Any) -> Callable[..., Any] | None:
    """Return the module's forward with our function in it, None where it cannot have it."""
    forward = type(module).forward
    if "forward" in vars(module) or not isinstance(forward, FunctionType):
        return None
    own = forward.__globals__.get(NAME)
    if NAME not in forward.__code__.co_names or own is None or not _agrees(own):
        return None

    def either(
        q: torch.Tensor,
        k: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        usual = cos.shape[-1] == q.shape[-1] and cos.dim() == q.dim() - 1
        if more or named or not usual or not q.dtype == k.dtype == cos.dtype:
            return own(q, k, cos, sin, *more, **named)
        return turned(q, k, cos, sin)

    copied = FunctionType(
        forward.__code__,
        {**forward.__globals__, NAME: either},
        forward.__name__,
        forward.__defaults__,
        forward.__closure__,
    )
    copied.__kwdefaults__ = forward.__kwdefaults__
    return MethodType(copied, module)


def _agrees(own: Callable[..., Any]) -> bool:
    """Whether the model's function turns random input as ours does."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 2, 3, 5, 8, generator=generator)
    cos, sin = torch.randn(2, 2, 5, 8, generator=generator)
    try:
        found = own(q, k, cos, sin)
    except (RuntimeError, TypeError):
        return False
    return all(map(close, found, turned(q, k, cos, sin)))
