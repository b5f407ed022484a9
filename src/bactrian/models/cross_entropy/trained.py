"""Cross-entropy of a head that is trained: gradients of hidden states, weight and bias.

The forward pass keeps nothing but -log p of each target. The backward pass makes the logits anew,
a tile of the vocabulary at a time: what comes from above weighs each row before rows are summed
into the weight's gradient, so it has to be known first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from bactrian.models.cross_entropy.plain import PlainHead
from bactrian.models.cross_entropy.softmax import capped

LOGITS = {"cpu": 1 << 22}
LOGITS_ELSEWHERE = 1 << 26
"""Of a tile, in which all rows are; 256 MB in float32 on a GPU."""
COLUMNS = 512
"""Tokens of a tile, at least."""


class TrainedHead(torch.autograd.Function):  # type: ignore[misc,unused-ignore]
    """-log p of each target, differentiable in hidden states, weight and bias."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, *given: Any) -> torch.Tensor:
        """Return float32 [n]; ``given``: weight, bias, targets, head, and the way to the nats."""
        weight, bias, targets, head, way = given
        nats: torch.Tensor = way(hidden, gradient=False).nats
        ctx.save_for_backward(hidden, weight, bias, targets, nats)
        ctx.head = head
        return nats

    @staticmethod
    @once_differentiable  # type: ignore[misc,untyped-decorator,unused-ignore]
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of what ``forward`` was given."""
        hidden, _, _, targets, nats = ctx.saved_tensors
        with torch.autocast(hidden.device.type, enabled=False):
            found = gradients_of(hidden, targets, ctx.head, nats, upstream[0])
        return *found, None, None, None


class Gradients(NamedTuple):
    """Of the hidden states, the weight and the bias, each in the dtype of what it is of."""

    hidden: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None


class Rows(NamedTuple):
    """What the backward pass knows of the rows."""

    hidden: torch.Tensor
    """[n, width], in the head's dtype."""
    targets: torch.Tensor
    normaliser: torch.Tensor
    """log of the sum of exp(logit), float32 [n, 1]."""
    upstream: torch.Tensor
    """The loss's derivative in each row's nats, times the head's scale, float32 [n, 1]."""
    of_targets: torch.Tensor
    """The loss's derivative in each target's logit before scale and bias, float32 [n]."""


def gradients_of(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    head: PlainHead,
    nats: torch.Tensor,
    upstream: torch.Tensor,
) -> Gradients:
    """Return the gradients of sum(``nats`` * ``upstream``), both float32 [n]."""
    rows = _rows(hidden.to(head.dtype), targets, head, nats, upstream)
    of_hidden = torch.zeros(hidden.shape, device=hidden.device)
    of_weight = torch.empty_like(head.weight)
    of_bias = None if head.bias is None else torch.empty_like(head.bias)
    columns = max(COLUMNS, LOGITS.get(hidden.device.type, LOGITS_ELSEWHERE) // len(hidden))
    for start in range(0, len(head), columns):
        stop = min(start + columns, len(head))
        slopes = _of_logits(rows, head, start, stop)
        of_hidden += slopes @ head.rows(start, stop)
        of_weight[start:stop] = slopes.t() @ rows.hidden
        if of_bias is not None:
            of_bias[start:stop] = slopes.sum(0, dtype=torch.float32)
    return Gradients(of_hidden.to(hidden.dtype), of_weight, of_bias)


def _rows(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    head: PlainHead,
    nats: torch.Tensor,
    upstream: torch.Tensor,
) -> Rows:
    at_target, slope = capped(head.logits_of(hidden, targets), head.cap)
    weights = upstream.float() * head.scale
    of_targets = torch.expm1(-nats) * weights  # p - 1, all digits of it
    if slope is not None:
        of_targets = of_targets * slope
    normaliser = (nats + at_target).unsqueeze(1)
    return Rows(hidden, targets, normaliser, weights.unsqueeze(1), of_targets)


def _of_logits(rows: Rows, head: PlainHead, start: int, stop: int) -> torch.Tensor:
    """Return the derivatives in the logits [n, stop - start] before scale and bias."""
    logits = (rows.hidden @ head.rows(start, stop).t()).float()
    logits *= head.scale
    shift = head.shift(start, stop)
    if shift is not None:
        logits += shift
    scores, slope = capped(logits, head.cap)
    found = (scores - rows.normaliser).exp_().mul_(rows.upstream)
    if slope is not None:
        found *= slope
    inside = (rows.targets >= start) & (rows.targets < stop)
    place = (rows.targets - start).clamp_(0, stop - start - 1).unsqueeze(1)
    there = torch.where(inside, rows.of_targets, found.gather(1, place).squeeze(1))
    return found.scatter_(1, place, there.unsqueeze(1)).to(head.dtype)
