"""Puts LoRA layers into a base for as long as a training takes, where the original put them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bactrian.errors import ConfigError
from bactrian.models.adapters import hushed
from bactrian.recipe import Lora

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "query_key_value", "c_attn", "qkv_proj")


@contextmanager
def with_lora(model: Any, lora: Lora) -> Iterator[Any]:
    """Yield the PEFT model; the base is as it was when the block ends, however it ends.

    Raises ConfigError for targets that the base does not have.
    """
    from peft import LoraConfig, get_peft_model

    targets = list(lora.targets) or attention_projections(model)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=_transposed(model, targets),
    )
    try:
        with hushed():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(f"train.lora.targets {targets}: {error}", "see docs/train.md") from None
    try:
        yield adapted
    finally:
        adapted.unload()


def attention_projections(model: Any) -> list[str]:
    """Return the names of the attention's linear layers, as the original chose them.

    LLaMA-like q_proj, k_proj, v_proj, o_proj; BLOOM query_key_value (Bactrian-X, scripts/).
    """
    linear = set(_linear_layers(model))
    found = [name for name in PROJECTIONS if name in linear]
    if not found:
        raise ConfigError(
            f"{type(model).__name__}: no attention projections of a known name",
            f"name train.lora.targets; linear layers are {', '.join(sorted(linear))}",
        )
    return found


def _linear_layers(model: Any) -> dict[str, str]:
    """Return the last part of the name of every linear layer, and its kind."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {
        path.rpartition(".")[2]: type(module).__name__
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    }


def _transposed(model: Any, targets: list[str]) -> bool:
    """Whether the targets are GPT-2's Conv1D, whose weights lie the other way round."""
    kinds = _linear_layers(model)
    return any(kinds.get(target) == "Conv1D" for target in targets)
