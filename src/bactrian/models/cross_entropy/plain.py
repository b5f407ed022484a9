"""A head as the bare numbers the loss computes with: weight, bias, scale and cap.

Knows which heads are a plain linear layer, and the logit of one token a row. Knows no softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from bactrian.models.head import Head

_FORWARD: Any = torch.nn.Linear.forward


@dataclass(frozen=True, slots=True)
class PlainHead:
    """Logits are cap(scale * (hidden @ weight.T + bias)), the products computed in ``dtype``."""

    weight: torch.Tensor
    """[vocab, width]; rows that only fill up the vocabulary count, as in the model."""
    bias: torch.Tensor | None
    """[vocab]."""
    scale: float
    cap: float | None
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.weight)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Return the weight of the tokens [start, stop), [tokens, width], in ``dtype``."""
        return self.weight.detach()[start:stop].to(self.dtype)

    def shift(self, start: int, stop: int) -> torch.Tensor | None:
        """Return what the bias adds to the scaled logits of [start, stop), float32, or None."""
        return None if self.bias is None else self.bias.detach()[start:stop].float() * self.scale

    def of_targets(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the weight of one token a row, [n, width], in ``dtype``.

        Raises IndexError (a CUDA device stops with an assertion) where a target is not in the
        vocabulary; no negative number is.
        """
        return self.weight.detach().index_select(0, targets).to(self.dtype)

    def logits_of(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return scale * (hidden @ weight + bias) of one token a row, float32 [n], not capped."""
        logits = (hidden.float() * self.of_targets(targets).float()).sum(1) * self.scale
        if self.bias is None:
            return logits
        return logits + self.bias.detach().index_select(0, targets).float() * self.scale


def plain(head: Head, hidden: torch.Tensor) -> PlainHead | None:
    """Return the numbers of a head that is one linear layer and nothing else, or None.

    None for a quantised head, an adapter on the head, or a layer with hooks: only their own
    forward knows what they do.
    """
    linear = head.linear
    if not isinstance(linear, torch.nn.Linear) or type(linear).forward is not _FORWARD:
        return None
    if linear._forward_hooks or linear._forward_pre_hooks or linear._backward_hooks:
        return None
    weight = _whole(linear.weight)
    bias = None if linear.bias is None else _whole(linear.bias)
    if type(weight) not in (torch.Tensor, torch.nn.Parameter):
        return None
    return PlainHead(weight, bias, head.scale, head.cap, _product_dtype(weight, hidden))


def _whole(weight: Any) -> Any:
    """Return a frozen weight that is spread over processes (FSDP) in one piece, others as is."""
    spread = hasattr(weight, "full_tensor") and not weight.requires_grad
    return weight.full_tensor() if spread else weight


def _product_dtype(weight: torch.Tensor, hidden: torch.Tensor) -> torch.dtype:
    """Return what the products are computed in: autocast's dtype where that is on."""
    device = hidden.device.type
    chosen: torch.dtype = weight.dtype
    if torch.is_autocast_enabled(device):
        chosen = torch.get_autocast_dtype(device)
    return chosen
