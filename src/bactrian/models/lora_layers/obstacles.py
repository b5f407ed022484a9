"""What keeps a layer of PEFT's from being computed here. Knows nothing of batches or gradients."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn
from transformers.pytorch_utils import Conv1D

QUANTISED = ("Linear4bit", "Linear8bitLt", "TorchaoLoraLinear")
"""PEFT's layers over a base of bitsandbytes or torchao."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def layer_obstacle(layer: Any) -> str:
    """Return why PEFT's own forward of this layer has to be kept, empty where it has not."""
    kind = type(layer)
    if kind is not LoraLinear and kind.__name__ not in QUANTISED:
        return f"PEFT's {kind.__name__}"
    if "forward" in vars(layer):
        return "its forward has been replaced"
    if layer.get_base_layer() is not layer.base_layer:
        return "a tuner inside a tuner"
    return "" if layer.cast_input_dtype_enabled else "the casting of its input is turned off"


def adapter_obstacle(layer: Any, adapter: str) -> str:
    """Return why this adapter of the layer needs PEFT's own forward, empty where it does not."""
    if adapter in layer.lora_variant:
        return type(layer.lora_variant[adapter]).__name__.removesuffix("LinearVariant")
    if layer.lora_bias.get(adapter):
        return "a bias in its LoRA"
    if any(
        type(side) is not nn.Linear or hooked(side) or not _plain(side.weight)
        for side in (layer.lora_A[adapter], layer.lora_B[adapter])
    ):
        return "weights that another library looks after"
    dropout = layer.lora_dropout[adapter]
    if type(dropout) not in (nn.Identity, nn.Dropout) or getattr(dropout, "p", 0.0) >= 1:
        return f"{type(dropout).__name__} as its dropout"
    return ""


def base_is_plain(layer: Any) -> bool:
    """Whether x Wᵀ + b says all that the base of this layer does, and W is not trained."""
    base = layer.base_layer
    return (
        type(base) in (nn.Linear, Conv1D)
        and _plain(base.weight)
        and base.weight.is_floating_point()
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and not hooked(base)
    )


def hooked(module: Any) -> bool:
    """Whether calling the module does more than its class says."""
    return "forward" in vars(module) or any(getattr(module, hooks) for hooks in HOOKS)


def _plain(weight: Any) -> bool:
    """Whether the weight is a whole tensor of this process, of no special kind."""
    return type(weight) in (nn.Parameter, torch.Tensor)
