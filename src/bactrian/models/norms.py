"""RMSNorm with a frozen weight in few passes over its input, for training.

transformers' own goes through float32 copies: six passes forward, ten back, and a float32 copy of
the input kept. Here a row's mean square is one pass and the scaling another, done by the CPU's
batch-norm kernel with rows as channels: it reads and writes bfloat16 and scales in float32. Kept
are the input itself and a float32 number a row. On other devices torch's fused kernel does it.
Whether a module is such a norm, and of which kind, is found by comparing. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import rms_norm as fused_rms_norm

MAGNITUDES = (1e-3, 0.03, 1.0, 30.0)
"""Of the rows of the comparison: the smallest shows whether epsilon is added where we add it."""


class _RmsNorm(torch.autograd.Function):
    """y = x / sqrt(mean x² + eps) * (plus + weight) of rows x [n, width]; plus is 0 or 1."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float, plus: int
    ) -> torch.Tensor:
        fine = torch.promote_types(x.dtype, torch.float32)
        square = torch.linalg.vector_norm(x, dim=1, dtype=fine).square_().div_(x.shape[1])
        ctx.save_for_backward(x, weight, square)
        ctx.eps, ctx.plus = eps, plus
        if plus:  # Gemma rounds once, at the end
            return _scaled(x.to(fine), square, eps).mul_(1 + weight.to(fine)).to(x.dtype)
        return _scaled(x, square, eps).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, square = ctx.saved_tensors
        (slope,) = upstream
        given = x.dtype
        if ctx.plus:
            x, slope, weight = (one.to(square.dtype) for one in (x, slope, weight))
            weight = 1 + weight
        slope = slope * weight
        zero = torch.zeros_like(square)
        wanted = [True, True, False]  # of the rows: their slopes scaled, and slope · x scaled
        scaled, along, _ = torch.ops.aten.native_batch_norm_backward(
            slope[None], x[None], None, zero, square, None, None, False, ctx.eps, wanted
        )
        along = along / (square + ctx.eps) / x.shape[1]
        down = scaled[0].addcmul_(x, along.to(x.dtype).unsqueeze(1), value=-1)
        return down.to(given), None, None, None


def _scaled(x: torch.Tensor, square: torch.Tensor, eps: float) -> torch.Tensor:
    """Return each row of x [n, width] over the root of its mean square [n]."""
    zero = torch.zeros_like(square)
    found: torch.Tensor = torch.native_batch_norm(
        x[None], None, None, zero, square, False, 0.0, eps
    )[0]
    return found[0]


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float, plus: int = 0) -> torch.Tensor:
    """Return x [..., width] normed, times ``weight`` [width] (``plus`` 1: times 1 + weight)."""
    width = x.shape[-1]
    if x.device.type != "cpu":
        scaled = fused_rms_norm(x, (width,), None, eps)
        return torch.addcmul(scaled, scaled, weight) if plus else scaled * weight
    found: torch.Tensor = _RmsNorm.apply(x.reshape(-1, width), weight, eps, plus)
    return found.view_as(x)


def fast_norm(module: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return a forward for the module that gives what its own gives, None where ours does not.

    Its own stays in use for what is no frozen RMSNorm over rows of the weight's dtype.
    """
    weight, own = getattr(module, "weight", None), module.forward
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not _looks_like_a_norm(module) or not isinstance(eps, float):
        return None
    for plus in (0, 1):
        if _agrees(partial(rms_norm, weight=weight, eps=eps, plus=plus), own, weight):
            return partial(_norm, module, own, eps, plus)
    return None


def _norm(module: Any, own: Any, eps: float, plus: int, x: torch.Tensor) -> torch.Tensor:
    """The forward of a norm; its own for what the comparison did not cover."""
    usual = x.dtype == module.weight.dtype and x.numel() > 0
    if not usual or module.weight.requires_grad:
        found: torch.Tensor = own(x)
        return found
    return rms_norm(x, module.weight, eps, plus)


def _looks_like_a_norm(module: Any) -> bool:
    kind, weight = type(module).__name__, getattr(module, "weight", None)
    return (
        (kind.endswith("RMSNorm") or kind == "T5LayerNorm")
        and "forward" not in vars(module)
        and isinstance(weight, torch.Tensor)
        and weight.dim() == 1
        and not weight.requires_grad
    )


def _agrees(
    ours: Callable[[torch.Tensor], torch.Tensor],
    own: Callable[[torch.Tensor], torch.Tensor],
    weight: Any,
) -> bool:
    """Whether values and gradients are the same up to the rounding of the weight's dtype."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 2 * len(MAGNITUDES), len(weight), generator=generator)
    rows *= torch.tensor(MAGNITUDES * 2).view(-1, 1)
    slope = torch.randn(rows.shape, generator=generator).to(weight.device, weight.dtype)
    found = []
    for way in (ours, own):
        x = rows.to(weight.device, weight.dtype, copy=True).requires_grad_()
        try:
            y = way(x)
            (down,) = torch.autograd.grad(y, x, slope)
        except (RuntimeError, TypeError):
            return False
        found.append((y, down))
    return all(
        one.dtype == other.dtype and close(one, other) for one, other in zip(*found, strict=True)
    )


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether every row of one [..., width] is the other's, up to a few roundings."""
    fine = torch.float64
    far = (one.to(fine) - other.to(fine)).norm(dim=-1) / other.to(fine).norm(dim=-1)
    return bool((far <= max(torch.finfo(one.dtype).eps, 2e-6)).all())
