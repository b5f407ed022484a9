"""Attention by torch's own kernel, one document at a time: on every device, for every score.

What has no kernel of its own there (a cap) is computed plainly. Knows nothing of models.
"""

from __future__ import annotations

import torch
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention

from bactrian.models.attention.scores import Documents, Scores


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> torch.Tensor:
    """Return the mixed values [rows, length, heads, width].

    ``query`` [rows, heads, length, width], ``key`` and ``value`` [rows, key heads, length, width];
    with ``documents`` there is one row, and each document sees itself only.
    """
    one = _capped if scores.cap is not None else _one
    if documents is None:
        return one(query, key, value, scores).transpose(1, 2)
    mixed = [
        one(query[:, :, span], key[:, :, span], value[:, :, span], scores)
        for span in documents.spans
    ]
    return torch.cat([part.transpose(1, 2) for part in mixed], dim=1)


def handles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether these tensors can be attended to here: all can."""
    return True


def is_fast(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether torch's kernel does it in one call and without a mask."""
    plain = scores.cap is None and scores.slopes is None
    return plain and documents is None and scores.sees_all(query.shape[2])


def _one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores
) -> torch.Tensor:
    length = query.shape[2]
    bias = None
    if scores.slopes is not None or not scores.sees_all(length):
        bias = added(scores, length, query)
    return scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=bias,
        is_causal=bias is None,
        dropout_p=scores.dropout,
        scale=scores.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _capped(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores
) -> torch.Tensor:
    """Compute every score: there is no kernel that caps them."""
    cap = scores.cap or 1.0
    rows, heads, length, width = query.shape
    grouped = query.reshape(rows, key.shape[1], -1, width)
    products = grouped @ key.transpose(-1, -2)
    capped = torch.tanh(products.float() * (scores.scale / cap)) * cap
    capped = capped.view(rows, heads, length, length) + added(scores, length, capped)
    shares = drop(capped.softmax(-1), scores.dropout).to(value.dtype)
    mixed = shares.view(rows, key.shape[1], -1, length) @ value
    return mixed.view(rows, heads, length, value.shape[-1])


def added(scores: Scores, length: int, like: torch.Tensor) -> torch.Tensor:
    """Return what is added to the scores [1 or heads, length, length]: -inf where nothing is seen.

    Relative positions keep a half-precision bias exact where it matters, near the query.
    """
    place = torch.arange(length, device=like.device)
    back = place[:, None] - place[None, :]
    hidden = back < 0
    if scores.window is not None:
        hidden |= back >= scores.window
    if scores.slopes is None:
        bias = torch.zeros(1, length, length, dtype=torch.float32, device=like.device)
    else:
        bias = -scores.slopes.to(like.device)[:, None, None] * back
    return bias.masked_fill_(hidden, float("-inf")).to(like.dtype)
