"""BLOOM as llama.cpp has it: q, k and v fused by kind, positions by ALiBi."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bactrian.errors import ConfigError
from bactrian.publish.gguf.rows import Order, by_kind

PREFIX = "transformer."
TRAINED = 2048
"""Tokens that BLOOM and BLOOMZ were trained on (Scao et al. 2022); ALiBi has no last position."""
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "word_embeddings": "token_embd",
        "word_embeddings_layernorm": "token_embd_norm",
        "h.{}.input_layernorm": "blk.{}.attn_norm",
        "h.{}.self_attention.query_key_value": "blk.{}.attn_qkv",
        "h.{}.self_attention.dense": "blk.{}.attn_output",
        "h.{}.post_attention_layernorm": "blk.{}.ffn_norm",
        "h.{}.mlp.dense_h_to_4h": "blk.{}.ffn_up",
        "h.{}.mlp.dense_4h_to_h": "blk.{}.ffn_down",
        "ln_f": "output_norm",
        "lm_head": "output",
    }
)


def settings(config: Any) -> dict[str, Any]:
    """Return the settings of a BLOOM; raises ConfigError for residuals after the norm."""
    if config.apply_residual_connection_post_layernorm:
        raise ConfigError(
            "apply_residual_connection_post_layernorm is true, which llama.cpp does not compute",
            "no BLOOM that was published sets it: see config.json of the base",
        )
    return {
        "block_count": config.n_layer,
        "embedding_length": config.hidden_size,
        "feed_forward_length": 4 * config.hidden_size,
        "attention.head_count": config.n_head,
        "attention.head_count_kv": config.n_head,
        "attention.layer_norm_epsilon": float(config.layer_norm_epsilon),
    }


def context(config: Any) -> int:
    """Return the tokens that the model was trained on."""
    return int(getattr(config, "seq_length", None) or TRAINED)


def order(name: str, config: Any) -> Order | None:
    """Return how the fused rows are turned; nothing else is."""
    return by_kind(config.n_head) if ".attn_qkv." in name else None
