"""The softmax with its target apart: what a loss and its gradient are made of.

With S the sum of exp(logit) over all tokens but the target, and a = log S - the target's logit:
-log p = softplus(a) and 1 - p = sigmoid(a), so nothing cancels where a target is all but certain,
in half precision neither. Knows nothing of tiles or devices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import softplus

from bactrian.models.cross_entropy.plain import PlainHead


class Sums(NamedTuple):
    """Sums over all tokens but the target, of terms exp(logit - reference)."""

    total: torch.Tensor
    """Of the terms, float32 [n]."""
    reference: torch.Tensor
    """Float32 [n]."""
    product: torch.Tensor | None
    """Of terms * slope of the cap * weight, [n, width]; None where no gradient is wanted."""


class Found(NamedTuple):
    """-log p of each target, float32 [n], and its gradient [n, width] where that was wanted.

    Gradients are float32 too: they are rounded once, after they were weighed.
    """

    nats: torch.Tensor
    gradients: torch.Tensor | None


def exponentials(
    logits: torch.Tensor, targets: torch.Tensor, cap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put exp(logit - highest) * slope of the cap in the place of ``logits`` [n, vocab].

    Zero stands at the target, which takes no part. Returns the sums of exp(logit - highest) and
    the highest capped logit, float32 [n] each.
    """
    scores, slope = capped(logits.float(), cap)
    # float32 logits would be changed in place otherwise, before the slope is used
    scores = scores.scatter(1, targets.unsqueeze(1), -torch.inf)
    highest = scores.amax(1).clamp_min(torch.finfo(torch.float32).min)
    terms = scores.sub_(highest.unsqueeze(1)).exp_()
    total = terms.sum(1)
    logits.copy_(terms if slope is None else terms.mul_(slope))
    return total, highest


def capped(logits: torch.Tensor, cap: float | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return cap * tanh(logits / cap) and its slope; the logits as they are without a cap."""
    if cap is None:
        return logits, None
    bent = torch.tanh(logits / cap)
    return bent * cap, 1 - bent.square()


def finish(sums: Sums, hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead) -> Found:
    """Add the target to the sums of the others; ``hidden`` [n, width], ``targets`` [n]."""
    at_target, slope = capped(head.logits_of(hidden, targets), head.cap)
    ahead = sums.total.log() + (sums.reference - at_target)
    nats = softplus(ahead)
    if sums.product is None:
        return Found(nats, None)
    share = ahead.sigmoid() * head.scale
    # a total of 0 belongs to a share of 0: every other token is out of float32's sight
    of_others = (share / sums.total.clamp_min(torch.finfo(torch.float32).tiny)).unsqueeze(1)
    of_target = (share if slope is None else share * slope).unsqueeze(1)
    gradients = sums.product.float().mul_(of_others)
    return Found(nats, gradients.sub_(head.of_targets(targets).float().mul_(of_target)))
