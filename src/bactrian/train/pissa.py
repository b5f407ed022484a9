"""PiSSA: LoRA that begins at the largest singular values of each layer (Meng et al. 2024).

The method trains B A of W = (W - B0 A0) + B A. Taking B0 A0 out of the base, as PEFT does, rounds
what is left, cannot be done to quantised weights, and leaves a checkpoint that is worth nothing
without the changed base. Here the base is never touched: the layer gets a LoRA of twice the rank,
A' = [A; A0] and B' = [B, -B0], whose second half is held as it is. It begins at B' A' = 0, computes
W + B A - B0 A0 in training and in use, and is a plain LoRA to everyone. Knows one layer at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from bactrian.errors import ConfigError

EXACT = 512
"""Smaller side of a matrix up to which the whole decomposition is quicker than the fast one."""
ITERATIONS = 16
"""Of the fast decomposition (Halko et al. 2011), as PEFT's pissa_niter_16."""
BEYOND = 8
"""Singular values found beyond the rank and dropped: the last ones found are inexact."""


@dataclass(frozen=True, slots=True)
class Held:
    """The second half of one layer's A or B, which stays as it is."""

    place: str
    weight: torch.nn.Parameter
    axis: int
    rank: int
    first: torch.Tensor
    """What the half was at the start."""

    def half(self) -> torch.Tensor:
        """Return the half as it is now."""
        return self.weight.detach().narrow(self.axis, self.rank, self.rank)


def begin(layer: Any, name: str, place: str) -> list[Held]:
    """Set A' and B' of adapter ``name`` of a PEFT layer, and hold their second halves.

    Draws random numbers for large layers. Raises ConfigError for a rank that the layer cannot have.
    """
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    rank = down.shape[0] // 2
    if rank > min(layer.in_features, layer.out_features):
        raise ConfigError(
            f"train.lora.rank = {rank} is more than {place} has singular values "
            f"({min(layer.in_features, layer.out_features)})",
            "lower train.lora.rank, or take another variant than pissa",
        )
    left, values, right = _largest(_weight(layer), rank)
    root = (values / layer.scaling[name]).sqrt()
    with torch.no_grad():
        down.copy_((root.unsqueeze(1) * right).repeat(2, 1))
        up.copy_(torch.cat([left * root, -left * root], dim=1))
    return [_hold(place, down, 0, rank), _hold(place, up, 1, rank)]


def check(held: list[Held]) -> None:
    """Raise RuntimeError where a held half moved: the optimizer was not stepped as it has to be."""
    for one in held:
        if not torch.equal(one.half(), one.first):
            raise RuntimeError(
                f"{one.place}: the held half of a PiSSA adapter moved; its gradient is zero, so "
                "weight decay or an optimizer that replaces parameters did it"
            )


def _weight(layer: Any) -> torch.Tensor:
    """Return the layer's weight as float32 [out, in], whatever it is stored as."""
    from peft.utils.integrations import dequantize_module_weight

    weight = dequantize_module_weight(layer.get_base_layer()).detach().float()
    return weight.T if layer.fan_in_fan_out else weight


def _largest(weight: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return U [out, rank], S [rank] and V^T [rank, in] of the largest singular values."""
    small = min(weight.shape)
    if small <= EXACT:
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
    else:
        wanted = min(rank + BEYOND, small)
        left, values, columns = torch.svd_lowrank(weight, q=wanted, niter=ITERATIONS)
        right = columns.T
    return left[:, :rank], values[:rank], right[:rank]


def _hold(place: str, weight: torch.nn.Parameter, axis: int, rank: int) -> Held:
    def still(gradient: torch.Tensor) -> torch.Tensor:
        kept = gradient.clone()
        kept.narrow(axis, rank, rank).zero_()
        return kept

    weight.requires_grad_(True).register_hook(still)
    held = weight.detach().narrow(axis, rank, rank).clone()
    return Held(place, weight, axis, rank, held)
