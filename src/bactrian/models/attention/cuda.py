"""Attention on CUDA: torch's or flash-attn's variable-length kernel, or torch's flex_attention.

Which of them is there depends on what is installed; each says what it can take. Padded rows count
as documents of equal length. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from inspect import signature
from typing import Any

import torch

from bactrian.models.attention.scores import Documents, Scores

HALF = (torch.float16, torch.bfloat16)
WIDEST = 256
"""Columns of a head that the flash kernels take."""
SMALLEST_FLEX = 16
"""Columns of a head below which flex_attention has no kernel."""


def varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> torch.Tensor:
    """Return the mixed values [rows, length, heads, width] by torch.nn.attention.varlen."""
    from torch.nn.attention.varlen import varlen_attn

    rows = _as_documents(query, documents)
    bounds, longest = rows.bounds(query.device), max(rows.lengths)
    back = -1 if scores.sees_all(longest) else (scores.window or 0) - 1
    mixed: torch.Tensor = varlen_attn(
        _flat(query),
        _flat(key),
        _flat(value),
        bounds,
        bounds,
        longest,
        longest,
        scale=scores.scale,
        window_size=(back, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return mixed.unflatten(0, (query.shape[0], -1))


def varlen_handles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether torch's kernel takes these: half precision, no cap, no bias, no dropout."""
    plain = scores.cap is None and scores.slopes is None and not scores.dropout
    return plain and _fit(query, value) and _has_varlen()


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> torch.Tensor:
    """Return the mixed values [rows, length, heads, width] by the package flash-attn."""
    flash_attn_varlen_func = import_module("flash_attn").flash_attn_varlen_func
    rows = _as_documents(query, documents)
    bounds, longest = rows.bounds(query.device), max(rows.lengths)
    slopes = scores.slopes
    mixed: torch.Tensor = flash_attn_varlen_func(
        _flat(query),
        _flat(key),
        _flat(value),
        cu_seqlens_q=bounds,
        cu_seqlens_k=bounds,
        max_seqlen_q=longest,
        max_seqlen_k=longest,
        dropout_p=scores.dropout,
        softmax_scale=scores.scale,
        causal=True,
        window_size=(-1, -1) if scores.sees_all(longest) else ((scores.window or 0) - 1, 0),
        softcap=scores.cap or 0.0,
        alibi_slopes=None if slopes is None else slopes.to(query.device, torch.float32),
    )
    return mixed.unflatten(0, (query.shape[0], -1))


def flash_handles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether flash-attn is installed and takes these: half precision, heads up to 256 wide."""
    wanted = {"softcap"} if scores.cap is not None else set()
    if scores.slopes is not None:
        wanted.add("alibi_slopes")
    takes = _flash_takes()
    return bool(takes) and wanted <= takes and _fit(query, value)


def flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> torch.Tensor:
    """Return the mixed values [rows, length, heads, width] by torch's compiled flex_attention.

    Blocks of scores that lie between two documents are skipped, not computed and hidden.
    """
    heads = query.shape[1]
    grouped = heads & (heads - 1) == 0  # elsewhere its groups want a power of two
    if not grouped and heads != key.shape[1]:
        key = key.repeat_interleave(heads // key.shape[1], 1)
        value = value.repeat_interleave(heads // value.shape[1], 1)
    mixed: torch.Tensor = _compiled_flex()(
        query,
        key,
        value,
        score_mod=_changed(scores, query.device),
        block_mask=_blocks(query, scores, documents),
        scale=scores.scale,
        enable_gqa=heads != key.shape[1],
    )
    return mixed.transpose(1, 2)


def flex_handles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether flex_attention takes these: no dropout, and heads that its kernels are made for."""
    return not scores.dropout and query.is_cuda and query.shape[-1] >= SMALLEST_FLEX


def _as_documents(query: torch.Tensor, documents: Documents | None) -> Documents:
    rows, _, length, _ = query.shape
    return documents or _rows(rows, length)


@lru_cache(maxsize=4)  # it keeps tensors
def _rows(rows: int, length: int) -> Documents:
    return Documents((length,) * rows)


def _flat(states: torch.Tensor) -> torch.Tensor:
    """Return [tokens, heads, width] of states [rows, heads, length, width]."""
    return states.transpose(1, 2).flatten(0, 1)


def _fit(query: torch.Tensor, value: torch.Tensor) -> bool:
    width = query.shape[-1]
    half = query.is_cuda and query.dtype in HALF and value.dtype == query.dtype
    return half and width == value.shape[-1] <= WIDEST and width % 8 == 0


@cache
def _has_varlen() -> bool:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return {"scale", "window_size", "enable_gqa"} <= signature(varlen_attn).parameters.keys()


@cache
def _flash_takes() -> frozenset[str]:
    """Return the parameters of flash-attn's function; none where it is not installed."""
    try:
        function = import_module("flash_attn").flash_attn_varlen_func
    except ImportError:
        return frozenset()
    return frozenset(signature(function).parameters)


@cache
def _compiled_flex() -> Callable[..., torch.Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., torch.Tensor] = torch.compile(flex_attention, dynamic=True)
    return compiled


def _changed(scores: Scores, device: torch.device) -> Callable[..., torch.Tensor] | None:
    """Return what flex_attention is to make of a scaled product, or None for nothing."""
    cap, slopes = scores.cap, scores.slopes
    if cap is None and slopes is None:
        return None
    steep = None if slopes is None else slopes.to(device, torch.float32)

    def change(product: Any, row: Any, head: Any, at: Any, seen: Any) -> Any:
        if cap is not None:
            product = cap * torch.tanh(product / cap)
        if steep is not None:
            product = product + steep[head] * (seen - at)
        return product

    return change


def _blocks(query: torch.Tensor, scores: Scores, documents: Documents | None) -> Any:
    """Return flex_attention's map of the blocks that hold scores, made once for all layers."""
    from torch.nn.attention.flex_attention import create_block_mask

    device, length = query.device, query.shape[2]
    rows = documents or _rows(query.shape[0], length)
    window = None if scores.sees_all(max(rows.lengths)) else scores.window
    numbers = None if documents is None else documents.numbers(device)

    def seen(row: Any, head: Any, at: Any, key: Any) -> Any:
        allowed = at >= key
        if window is not None:
            allowed = allowed & (at - key < window)
        if numbers is not None:
            allowed = allowed & (numbers[at] == numbers[key])
        return allowed

    def make() -> Any:
        return create_block_mask(seen, None, None, length, length, device=device)

    return rows.keep(f"flex, window {window}", device, make)
