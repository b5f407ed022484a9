"""What kind of model a base is, and where its linear layers are. Reads names, never values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from bactrian.errors import ConfigError

Kind = Literal["causal", "encoder-decoder"]

TEXT_PARTS = {"text_config", "text_encoder", "encoder", "decoder", "generator"}
"""Parts of a composite configuration that read or write text."""

ATTENTIONS = (
    ("q_proj", "k_proj", "v_proj", "o_proj"),  # LLaMA, Mistral, Qwen, Gemma, Cohere, Granite
    ("q_proj", "k_proj", "v_proj", "out_proj"),  # OPT (Galactica), GPT-J, GPT-Neo, BART, NLLB
    ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"),  # DeepSeek
    ("q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"),  # DeepSeek, the smaller ones
    ("qkv_proj", "o_proj"),  # Phi-3
    ("qkv_proj", "out_proj"),  # CodeGen
    ("query_key_value",),  # BLOOM, GPT-NeoX, Falcon
    ("c_attn",),  # GPT-2
    ("Wqkv",),  # MPT
    ("q", "v"),  # T5, mT5
)
"""Linear layers of one attention module that get an adapter, the first set that is there.

LLaMA, BLOOM and T5 as the original chose them (Bactrian-X, README and scripts/).
"""


UNDER = ".base_layer"
"""Where PEFT keeps the layer that an adapter was put around."""


def kind_of(config: Any, base: str) -> Kind:
    """Return whether the model reads and writes one text, or answers one with another.

    ``config`` is transformers' configuration. Raises ConfigError for models of more than text, for
    those that read both ways (BERT and its like), and for those that write no text.
    """
    from transformers.models.auto import modeling_auto as known

    family = config.model_type
    if others := sorted(set(getattr(config, "sub_configs", {})) - TEXT_PARTS):
        raise ConfigError(
            f"base {base} ({family}) is multimodal: it has {', '.join(others)} beside its language "
            "model",
            "name a text-only base; where the family publishes none, save its language model as a "
            "folder of its own with transformers",
        )
    if getattr(config, "is_encoder_decoder", False):
        if family in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
            return "encoder-decoder"
    elif family in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        masked = family in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        if not masked or getattr(config, "is_decoder", True):
            return "causal"
        raise ConfigError(
            f"base {base} ({family}) reads its text in both directions and cannot write an answer",
            "name a causal model (LLaMA, BLOOM, …) or an encoder-decoder (T5, mT5, …)",
        )
    raise ConfigError(
        f"base {base} ({family}) is no model that transformers can write text with",
        "name a causal model (LLaMA, BLOOM, …) or an encoder-decoder (T5, mT5, …)",
    )


def linear_layers(model: Any) -> dict[str, Any]:
    """Return every linear layer, path to module; GPT-2's Conv1D and quantised ones count as such.

    A layer under an adapter keeps its own path; those inside an adapter do not count.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    return {
        path.removesuffix(UNDER): module
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and ".lora_" not in path
    }


def last_names(paths: Iterable[str]) -> list[str]:
    """Return the last parts of dotted paths, each once, sorted."""
    return sorted({path.rpartition(".")[2] for path in paths})


def attention_projections(model: Any) -> list[str]:
    """Return the names of the attention's linear layers that get an adapter, see ``ATTENTIONS``.

    Raises ConfigError where no attention of known names is found, naming the linear layers.
    """
    names = last_names(linear_layers(model))
    children: dict[str, set[str]] = {}
    for path in linear_layers(model):
        parent, _, name = path.rpartition(".")
        children.setdefault(parent, set()).add(name)
    found = [
        next((wanted for wanted in ATTENTIONS if there.issuperset(wanted)), ())
        for there in children.values()
    ]
    if chosen := list(dict.fromkeys(name for wanted in found for name in wanted)):
        return chosen
    raise ConfigError(
        f"{type(model).__name__}: no attention projections of a known name",
        f"name train.lora.targets, or all-linear; linear layers are {', '.join(names)}",
    )


def all_linear(model: Any) -> list[str]:
    """Return names that fit every linear layer but the head: last parts, or whole paths.

    Whole paths only where a layer has the head's own last name.
    """
    head = model.get_output_embeddings()
    head = getattr(head, "base_layer", head)
    layers = linear_layers(model)
    inside = {path: layer for path, layer in layers.items() if layer is not head}
    heads = {path.rpartition(".")[2] for path, layer in layers.items() if layer is head}
    names = last_names(inside)
    return sorted(inside) if heads.intersection(names) else names


def has_fused_experts(model: Any) -> bool:
    """Whether some weights are experts in one tensor [experts, out, in], which no layer owns."""
    return any(
        weights.dim() == 3 and "expert" in path for path, weights in model.named_parameters()
    )
