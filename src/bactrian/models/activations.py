"""Activations of the MLP in one pass each way, and gates that keep a third less.

GELU by tanh, spelt out in eight passes in BLOOM, GPT-2 and T5, is one kernel of torch's. For
silu(gate) * up (LLaMA, Qwen, Mistral) silu is computed again in the backward pass, not kept.
Whether a module is one of these is found by comparing. Knows nothing of attention or norms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any

import torch
from torch.nn.functional import gelu, linear, silu

from bactrian.models.norms import close

SPELT_OUT = ("BloomGelu", "NewGELUActivation", "FastGELUActivation")
"""Modules that make GELU by tanh of single passes."""
GATED = {"gate_proj", "up_proj", "down_proj", "act_fn"}
"""All the names in the forward of a module that is down(act(gate(x)) * up(x))."""


class _Gated(torch.autograd.Function):
    """silu(gate) * up of tensors of one shape."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        of_up = silu(gate).mul_(upstream[0])
        return torch.ops.aten.silu_backward(upstream[0] * up, gate), of_up


def gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Return silu(gate) * up; only the two are kept for the backward pass."""
    found: torch.Tensor = _Gated.apply(gate, up)
    return found


def fast_activation(module: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return GELU by tanh where the module gives the same, else None."""
    if type(module).__name__ not in SPELT_OUT or "forward" in vars(module):
        return None

    def forward(x: torch.Tensor) -> torch.Tensor:
        return gelu(x, approximate="tanh")

    return forward if _agree(forward, module.forward) else None


def fast_gate(module: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return a forward for a gated MLP with silu, None for any other module."""
    own = type(module).forward
    if "forward" in vars(module) or not isinstance(own, FunctionType):
        return None
    if set(own.__code__.co_names) != GATED or "SiLU" not in type(module.act_fn).__name__:
        return None

    generator = torch.Generator().manual_seed(1)
    matrices = torch.randn(3, 8, 8, generator=generator)
    layers = [partial(linear, weight=matrix) for matrix in matrices]
    stand_in = SimpleNamespace(act_fn=module.act_fn)
    stand_in.gate_proj, stand_in.up_proj, stand_in.down_proj = layers
    if not _agree(partial(_gated_mlp, stand_in), partial(own, stand_in)):
        return None
    return partial(_gated_mlp, module)


def _gated_mlp(mlp: Any, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = mlp.down_proj(gated(mlp.gate_proj(x), mlp.up_proj(x)))
    return found


def _agree(
    ours: Callable[[torch.Tensor], torch.Tensor], own: Callable[[torch.Tensor], torch.Tensor]
) -> bool:
    """Whether values and gradients are the same for rows of 8 numbers, in float32."""
    generator = torch.Generator().manual_seed(0)
    rows, slope = 3 * torch.randn(2, 16, 8, generator=generator)
    found = []
    for way in (ours, own):
        x = rows.clone().requires_grad_()
        try:
            y = way(x)
            (down,) = torch.autograd.grad(y, x, slope)
        except (RuntimeError, TypeError):
            return False
        found.append((y, down))
    return all(close(*both) for both in zip(*found, strict=True))
