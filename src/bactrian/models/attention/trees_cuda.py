"""Attention in rows of trees on CUDA: torch's compiled flex_attention over the whole row.

Knows nothing of models or of what the tokens are for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bactrian.models.attention import cuda
from bactrian.models.attention.scores import Scores
from bactrian.models.attention.trees import Trees


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores, trees: Trees
) -> torch.Tensor:
    """Return the same as ``trees.attend``, [1, length, heads, width].

    Blocks of scores that lie between two trees are skipped, not computed and hidden.
    """
    heads, device = query.shape[1], query.device
    if heads & (heads - 1) and heads != key.shape[1]:  # its groups want a power of two
        key = key.repeat_interleave(heads // key.shape[1], 1)
        value = value.repeat_interleave(heads // value.shape[1], 1)
    depths = trees.keep(("depths", str(device)), lambda: trees.depths.to(device))
    mixed: torch.Tensor = cuda._compiled_flex()(
        query,
        key,
        value,
        score_mod=_changed(scores, depths),
        block_mask=_blocks(scores, trees, depths),
        scale=scores.scale,
        enable_gqa=heads != key.shape[1],
    )
    return mixed.transpose(1, 2)


def _changed(scores: Scores, depths: torch.Tensor) -> Callable[..., torch.Tensor] | None:
    """Return what flex_attention is to make of a scaled product, or None for nothing."""
    cap, slopes = scores.cap, scores.slopes
    if cap is None and slopes is None:
        return None
    steep = None if slopes is None else slopes.to(depths.device, torch.float32)

    def change(product: Any, row: Any, head: Any, at: Any, seen: Any) -> Any:
        if cap is not None:
            product = cap * torch.tanh(product / cap)
        if steep is not None:
            product = product + steep[head] * (depths[seen] - depths[at])
        return product

    return change


def _blocks(scores: Scores, trees: Trees, depths: torch.Tensor) -> Any:
    """Return flex_attention's map of the blocks that hold scores, made once for all layers."""
    from torch.nn.attention.flex_attention import create_block_mask

    device, length = depths.device, trees.tokens
    window = None if scores.sees_all(trees.deepest + 1) else scores.window
    ends = trees.keep(("ends", str(device)), lambda: trees.ends.to(device))

    def seen(row: Any, head: Any, at: Any, key: Any) -> Any:
        allowed = (at >= key) & (at <= ends[key])
        if window is not None:
            allowed = allowed & (depths[at] - depths[key] < window)
        return allowed

    def make() -> Any:
        return create_block_mask(seen, None, None, length, length, device=device)

    return trees.keep(("flex", window, str(device)), make)
