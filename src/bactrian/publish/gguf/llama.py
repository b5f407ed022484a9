"""LLaMA and what is built like it: Mistral, SmolLM2; with other rotary pairs Qwen2 and Qwen3."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bactrian.errors import ConfigError
from bactrian.publish.gguf.rope import scaling
from bactrian.publish.gguf.rows import Order, by_pairs

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "model.embed_tokens": "token_embd",
        "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
        "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q",
        "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
        "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v",
        "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
        "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
        "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
        "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
        "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate",
        "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
        "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
        "model.norm": "output_norm",
        "lm_head": "output",
    }
)
SILU = ("silu", "swish")


def settings(config: Any) -> dict[str, Any]:
    """Return the settings of one of the family; raises ConfigError for another activation."""
    if config.hidden_act not in SILU:
        raise ConfigError(
            f"the activation {config.hidden_act} is not what llama.cpp computes for this family",
            "it computes silu: see hidden_act in config.json of the base",
        )
    width = head(config)
    return {
        "block_count": config.num_hidden_layers,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads or config.num_attention_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "attention.key_length": width,
        "attention.value_length": width,
        "rope.dimension_count": width,
        **scaling(config),
    }


def head(config: Any) -> int:
    """Return the width of one head."""
    width = getattr(config, "head_dim", None)
    return int(width or config.hidden_size // config.num_attention_heads)


def context(config: Any) -> int:
    """Return the tokens that the model can take, those of a sliding window where it has one.

    llama.cpp has no window for these families: within one window the two compute the same.
    """
    longest = int(config.max_position_embeddings)
    window = getattr(config, "sliding_window", None)
    used = getattr(config, "use_sliding_window", True)
    return min(longest, int(window)) if window and used else longest


def order(name: str, config: Any) -> Order | None:
    """Return how the rows of q and k are turned, weights and biases alike."""
    if ".attn_q." in name:
        return by_pairs(config.num_attention_heads)
    if ".attn_k." in name:
        return by_pairs(config.num_key_value_heads or config.num_attention_heads)
    return None


def no_order(name: str, config: Any) -> Order | None:
    """Leave all rows as they are: for families that llama.cpp turns by halves too."""
    return None
