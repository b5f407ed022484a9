"""BLOOM and Falcon: models whose layers compute attention themselves, given ours one by one.

transformers has no kernel for BLOOM's ALiBi, and no way at all to pack its rows: its layers know
positions only from a bias that the whole row shares. Here the bias follows each document.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from math import floor, log2
from typing import Any

import torch
from torch.nn.functional import dropout as drop

from bactrian.models.attention.scores import Scores
from bactrian.models.attention.sdpa import added
from bactrian.models.attention.state import Attention

Forward = Callable[..., tuple[torch.Tensor, Any]]


@contextmanager
def layers_patched(model: Any, attention: Attention) -> Iterator[int]:
    """Give every attention layer of a known family our forward; yield how many there are.

    The instances are patched and put back, their classes are not touched. Raises ValueError for a
    layer that something else has patched before (hooks that move weights between devices).
    """
    found = [
        (module, FAMILIES[type(module).__name__])
        for module in model.modules()
        if type(module).__name__ in FAMILIES
    ]
    patched: list[Any] = []
    try:
        for module, forward in found:
            if "forward" in vars(module):
                raise ValueError("its layers are patched already, by hooks of another library")
            module.forward = partial(forward, module, attention)
            patched.append(module)
        yield len(found)
    finally:
        for module in patched:
            del module.forward


def bloom(
    layer: Any,
    attention: Attention,
    hidden_states: torch.Tensor,
    residual: torch.Tensor,
    alibi: torch.Tensor,
    *,
    attention_mask: torch.Tensor | None = None,
    layer_past: Any = None,
    output_attentions: bool = False,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what BloomAttention returns: the mixed states [rows, length, width] plus residual."""
    if attention_mask is not None or output_attentions:
        own = type(layer).forward
        mask = _seen(attention, hidden_states) if attention_mask is None else attention_mask
        told = {"layer_past": layer_past, "output_attentions": output_attentions, **others}
        given: tuple[torch.Tensor, Any] = own(layer, hidden_states, residual, alibi, mask, **told)
        return given
    query, key, value = layer._reshape(layer.query_key_value(hidden_states))
    if layer_past is not None:
        key, value = layer_past.update(key, value, layer.layer_idx)
    dropout = layer.attention_dropout.p if layer.training else 0.0
    steep = _slopes_on(layer.num_heads, hidden_states.device)
    scores = Scores(layer.inv_norm_factor, slopes=steep, dropout=dropout)
    mixed = layer.dense(attention.attend(query, key, value, scores).flatten(2))
    return residual + drop(mixed, layer.hidden_dropout, layer.training), None


def falcon(
    layer: Any,
    attention: Attention,
    hidden_states: torch.Tensor,
    alibi: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    *,
    layer_past: Any = None,
    output_attentions: bool = False,
    position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what FalconAttention returns: the mixed states [rows, length, width]."""
    if attention_mask is not None or output_attentions or layer_past is not None:
        own = type(layer).forward
        mask = _seen(attention, hidden_states) if attention_mask is None else attention_mask
        told = {"layer_past": layer_past, "output_attentions": output_attentions, **others}
        told["position_embeddings"] = position_embeddings
        with _named(layer.config, attention.own):  # it asks for its kernel's name
            given: tuple[torch.Tensor, Any] = own(layer, hidden_states, alibi, mask, **told)
        return given
    parts = layer._split_heads(layer.query_key_value(hidden_states))
    query, key, value = (part.transpose(1, 2) for part in parts)
    steep, dropout, scale = None, 0.0, layer.head_dim**-0.5
    if alibi is None:
        turned = sys.modules[type(layer).__module__].apply_rotary_pos_emb
        query, key = turned(query, key, *(position_embeddings or ()))
    else:
        steep = _slopes_on(layer.num_heads, query.device) * scale  # products and bias alike
        dropout = layer.attention_dropout.p if layer.training else 0.0
    scores = Scores(scale, slopes=steep, dropout=dropout)
    return layer.dense(attention.attend(query, key, value, scores).flatten(2)), None


@contextmanager
def _named(config: Any, name: str) -> Iterator[None]:
    """Let the configuration name another attention inside the block."""
    before = config._attn_implementation_internal
    config._attn_implementation_internal = name
    try:
        yield
    finally:
        config._attn_implementation_internal = before


FAMILIES: dict[str, Forward] = {"BloomAttention": bloom, "FalconAttention": falcon}


def slopes(heads: int) -> torch.Tensor:
    """Return ALiBi's slope of each head, float32 [heads] (Press et al. 2022, section 3).

    Powers of 2^(-8 / n) for n heads; where n is no power of two, every other power of the next
    longer series is added.
    """
    whole = 2 ** floor(log2(heads))
    powers = [2 ** (-8 * (place + 1) / whole) for place in range(whole)]
    between = [2 ** (-4 * (2 * place + 1) / whole) for place in range(heads - whole)]
    return torch.tensor([*powers, *between], dtype=torch.float32)


@lru_cache(maxsize=8)
def _slopes_on(heads: int, device: torch.device) -> torch.Tensor:
    return slopes(heads).to(device)


def _seen(attention: Attention, hidden: torch.Tensor) -> torch.Tensor:
    """Return the causal mask [1, 1, length, length] that a layer's own forward needs."""
    if attention.packed:
        raise ValueError("attention weights of packed rows are not told")
    return added(Scores(1.0), hidden.shape[1], hidden)[None]
