"""Weights that FSDP has spread over processes: whole ones out of them, and whole ones back in.

What is written is the same as where nothing is spread, so that a training may go on with another
number of processes, or without FSDP. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

State = dict[str, Any]


def whole(tensor: Any) -> Any:
    """Return the tensor on the CPU; one that is spread is gathered, and all processes call this."""
    from torch.distributed.tensor import DTensor

    found = tensor.detach()
    if isinstance(found, DTensor):
        found = found.full_tensor()
    return found.cpu().contiguous()


def gathered(named: Mapping[str, Any], *, keep: bool) -> State:
    """Return the tensors whole, one at a time; nothing in the processes that do not ``keep``."""
    found: State = {}
    for name, tensor in named.items():
        full = whole(tensor)
        if keep:
            found[name] = full
    return found


def spread_like(place: Any, full: Any) -> Any:
    """Return a whole tensor as ``place`` lies: this process's part of it, or all of it."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(place, DTensor):
        return full
    there = full.to(place.to_local().device)
    return distribute_tensor(there, place.device_mesh, place.placements, src_data_rank=None)


def optimizer_state(optimizer: Any, *, keep: bool) -> State:
    """Return the optimizer's state dict with whole tensors; all processes call this."""
    told = optimizer.state_dict()
    state = {}
    for index, values in told["state"].items():
        tensors = {name: value for name, value in values.items() if hasattr(value, "detach")}
        found = {**values, **gathered(tensors, keep=keep)}
        if keep:
            state[index] = found
    return {"state": state, "param_groups": told["param_groups"]}


def load_optimizer(optimizer: Any, told: Mapping[str, Any]) -> None:
    """Put back what ``optimizer_state`` returned, each process its part."""
    inner = getattr(optimizer, "optimizer", optimizer)
    places = [weights for group in inner.param_groups for weights in group["params"]]
    state = {
        index: {
            name: spread_like(places[index], value)
            if _shape(value) == _shape(places[index])
            else value
            for name, value in values.items()
        }
        for index, values in told["state"].items()
    }
    inner.load_state_dict({"state": state, "param_groups": told["param_groups"]})


def _shape(value: Any) -> Any:
    return getattr(value, "shape", None)


@dataclass(frozen=True, slots=True)
class Gathered:
    """An adapter whose weights were gathered, for ``models.adapters.save`` to write."""

    savable: Any
    state: State

    def save_pretrained(self, folder: Path, **given: Any) -> None:
        """Write the gathered weights under the names that they have in the model."""
        self.savable.save_pretrained(folder, state_dict=self.state, **given)


def exact_sums(accelerator: Any) -> None:
    """Have FSDP add up gradients in float32 and leave what the model returns as it is.

    Accelerate's policy for half precision rounds both: the loss of a token would have three digits.
    """
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = accelerator.state.fsdp_plugin
    policy = plugin.mixed_precision_policy
    if policy is not None:
        plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=policy.param_dtype, reduce_dtype=torch.float32
        )
