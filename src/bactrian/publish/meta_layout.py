"""What Meta's own LLaMA code wants: the numbers of params.json, the names and order of tensors.

Sources: meta-llama/llama, llama/model.py (ModelArgs, FeedForward, apply_rotary_emb), and
meta-llama/llama-models, models/llama3 (use_scaled_rope). Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.errors import ConfigError

FAMILIES = ("llama", "mistral")
OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INSIDE = {
    "attention.wq.weight": "self_attn.q_proj.weight",
    "attention.wk.weight": "self_attn.k_proj.weight",
    "attention.wv.weight": "self_attn.v_proj.weight",
    "attention.wo.weight": "self_attn.o_proj.weight",
    "feed_forward.w1.weight": "mlp.gate_proj.weight",
    "feed_forward.w2.weight": "mlp.down_proj.weight",
    "feed_forward.w3.weight": "mlp.up_proj.weight",
    "attention_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
}
TURNED = ("attention.wq.weight", "attention.wk.weight")
"""Tensors whose rows are in another order: what is rotated together lies together in Meta's."""
COMPUTED = re.compile(r".*rotary_emb\.inv_freq")
"""Tensors of older folders that follow from the configuration."""
MULTIPLES = (256, 1024, 4096, 512, 128, 64, 32, 16, 8, 4, 2, 1)
SCALED = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What use_scaled_rope stands for in Meta's code; it has no words for other numbers."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A LLaMA's numbers, under Meta's names."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    """Width of the feed-forward layers."""
    vocabulary: int
    norm_eps: float
    theta: float
    scaled: bool
    tied: bool

    @property
    def head(self) -> int:
        """Width of a head."""
        return self.dim // self.heads


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Read transformers' config.json of a LLaMA; raises ConfigError for what Meta's code is not."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(
            f"a state dict in Meta's layout is for LLaMA's architecture, and this is {family}",
            "export it as GGUF or merged: bactrian export gguf, bactrian export merged",
        )
    _check(config)
    heads = int(config["num_attention_heads"])
    return Shape(
        dim=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        hidden=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        theta=float(_rope(config).get("rope_theta") or config.get("rope_theta") or 10000.0),
        scaled=_scaled(_rope(config)),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def params(shape: Shape) -> dict[str, Any]:
    """Return params.json, with no more keys than needed: LLaMA 1's code refuses later ones."""
    multiple, factor = feed_forward(shape.dim, shape.hidden)
    told: dict[str, Any] = {
        "dim": shape.dim,
        "multiple_of": multiple,
        "n_heads": shape.heads,
        "n_layers": shape.layers,
        "norm_eps": shape.norm_eps,
        "vocab_size": shape.vocabulary,
    }
    if shape.kv_heads != shape.heads:
        told["n_kv_heads"] = shape.kv_heads
    if factor is not None:
        told["ffn_dim_multiplier"] = factor
    if shape.theta != 10000.0:
        told["rope_theta"] = shape.theta
    if shape.scaled:
        told["use_scaled_rope"] = True
    return told


def feed_forward(dim: int, hidden: int) -> tuple[int, float | None]:
    """Return multiple_of and ffn_dim_multiplier with which Meta's formula gives ``hidden``.

    The multiplier is None where none is needed, else the one of fewest digits.
    """
    fitting = [multiple for multiple in MULTIPLES if hidden % multiple == 0]
    for multiple in fitting:
        if hidden_of(dim, multiple, None) == hidden:
            return multiple, None
    plain = 8 * dim // 3
    for digits in range(1, 5):
        for multiple in fitting[:-1]:
            factor = round(hidden / plain, digits)
            if hidden_of(dim, multiple, factor) == hidden:
                return multiple, factor
    return 1, (hidden + 0.5) / plain


def hidden_of(dim: int, multiple: int, factor: float | None) -> int:
    """Return the width that Meta's FeedForward takes: two thirds of 4 dim, scaled, rounded up."""
    hidden = int(2 * (4 * dim) / 3)
    if factor is not None:
        hidden = int(factor * hidden)
    return multiple * ((hidden + multiple - 1) // multiple)


def names(shape: Shape) -> dict[str, str]:
    """Return the name of every tensor in transformers' folder by its name in Meta's file."""
    found = {"tok_embeddings.weight": OUTSIDE["tok_embeddings.weight"]}
    for layer in range(shape.layers):
        for ours, theirs in INSIDE.items():
            found[f"layers.{layer}.{ours}"] = f"model.layers.{layer}.{theirs}"
    head = "tok_embeddings.weight" if shape.tied else "output.weight"
    return {
        **found,
        "norm.weight": OUTSIDE["norm.weight"],
        "output.weight": OUTSIDE[head],
    }


def check_names(shape: Shape, there: Iterable[str]) -> None:
    """Raise ConfigError where the folder lacks a tensor, or has one that Meta's code has not."""
    wanted, found = set(names(shape).values()), set(there)
    if lacking := sorted(wanted - found):
        raise ConfigError(
            f"the model has no {lacking[0]}", "see whether its folder is whole, or fetch it again"
        )
    spare = {OUTSIDE["output.weight"]} if shape.tied else set()
    if beyond := sorted(name for name in found - wanted - spare if not COMPUTED.fullmatch(name)):
        raise ConfigError(
            f"Meta's layout has no place for {beyond[0]}",
            "export it as merged or GGUF: bactrian export merged, bactrian export gguf",
        )


def expected(shape: Shape, name: str) -> tuple[int, ...]:
    """Return the shape of a tensor by its name in Meta's file."""
    part = name.split(".", 2)[2] if name.startswith("layers.") else name
    dim, hidden, words = shape.dim, shape.hidden, shape.vocabulary
    keys = shape.head * shape.kv_heads
    return {
        "tok_embeddings.weight": (words, dim),
        "output.weight": (words, dim),
        "attention.wq.weight": (dim, dim),
        "attention.wk.weight": (keys, dim),
        "attention.wv.weight": (keys, dim),
        "attention.wo.weight": (dim, dim),
        "feed_forward.w1.weight": (hidden, dim),
        "feed_forward.w2.weight": (dim, hidden),
        "feed_forward.w3.weight": (hidden, dim),
    }.get(part, (dim,))


def to_meta(shape: Shape, name: str, tensor: Any) -> Any:
    """Return a tensor of transformers' with its rows in Meta's order."""
    return _turned(shape, name, tensor, 2) if name.endswith(TURNED) else tensor


def from_meta(shape: Shape, name: str, tensor: Any) -> Any:
    """Return a tensor of Meta's with its rows in transformers' order."""
    return _turned(shape, name, tensor, shape.head // 2) if name.endswith(TURNED) else tensor


def _turned(shape: Shape, name: str, tensor: Any, first: int) -> Any:
    """Exchange the two axes that a head's rows [first, rest] are laid along.

    transformers rotates row i with row i + head / 2, Meta row 2 i with row 2 i + 1.
    """
    heads = tensor.shape[0] // shape.head
    rows = tensor.reshape(heads, first, shape.head // first, tensor.shape[1])
    return rows.transpose(1, 2).reshape(tensor.shape)


def _check(config: Mapping[str, Any]) -> None:
    """Refuse by name what a LLaMA's configuration may say and Meta's code does not do."""
    act = config.get("hidden_act", "silu")
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    refused = {
        "quantised weights": bool(config.get("quantization_config")),
        "a bias in its attention": bool(config.get("attention_bias")),
        "a bias in its feed-forward layers": bool(config.get("mlp_bias")),
        f"{act} in its feed-forward layers": act not in ("silu", "swish"),
        f"heads of {config.get('head_dim')}": (config.get("head_dim") or width // heads) * heads
        != width,
        "a sliding window of attention": bool(config.get("sliding_window")),
    }
    for what, there in refused.items():
        if there:
            raise ConfigError(
                f"the model has {what}, which Meta's code has not",
                "export it as merged or GGUF: bactrian export merged, bactrian export gguf",
            )


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is told of the rotary positions, under transformers 5's name or the older one."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _scaled(rope: Mapping[str, Any]) -> bool:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return False
    if kind == "llama3" and all(rope.get(key) == value for key, value in SCALED.items()):
        return True
    told = ", ".join(f"{key} {rope[key]}" for key in SCALED if key in rope)
    raise ConfigError(
        f"params.json has no words for rotary positions scaled by {kind} ({told})",
        "export it as merged or GGUF: bactrian export merged, bactrian export gguf",
    )
