"""Heads and rows for the tests of the cross-entropy, and what float64 says of them."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from bactrian.models.cross_entropy import token_nats
from bactrian.models.head import Head

VOCABULARY = 2_571  # no multiple of a tile, nor of a group
WIDTH = 24


def head_of(
    scale: float = 1.0,
    cap: float | None = None,
    bias: bool = False,
    vocabulary: int = VOCABULARY,
    spread: float = 0.3,
) -> Head:
    """A frozen head of random weights."""
    linear = torch.nn.Linear(WIDTH, vocabulary, bias=bias)
    with torch.no_grad():
        for weights in linear.parameters():
            weights.normal_(0, spread, generator=torch.Generator().manual_seed(3))
    return Head(linear.requires_grad_(False), scale, cap)


def rows_of(head: Head, number: int) -> tuple[Any, Any, Any]:
    """Hidden states, targets, and what the loss makes of each row's nats."""
    draw = torch.Generator().manual_seed(number)
    vocabulary, width = head.linear.weight.shape
    hidden = torch.randn(number, width, generator=draw).to(head.linear.weight.dtype)
    targets = torch.randint(0, vocabulary, (number,), generator=draw)
    return hidden, targets, torch.rand(number, generator=draw)


def exact(hidden: Any, targets: Any, head: Head, upstream: Any) -> tuple[Any, Any]:
    """Nats and the gradient of their weighted sum, from full logits in float64."""
    start = hidden.detach().double().requires_grad_()
    logits = start @ head.linear.weight.detach().double().T
    if getattr(head.linear, "bias", None) is not None:
        logits = logits + head.linear.bias.detach().double()
    logits = logits * head.scale
    if head.cap is not None:
        logits = torch.tanh(logits / head.cap) * head.cap
    nats = cross_entropy(logits, targets, reduction="none")
    (gradient,) = torch.autograd.grad((nats * upstream.double()).sum(), start)
    return nats.detach(), gradient


def ours(hidden: Any, targets: Any, head: Head, upstream: Any) -> tuple[Any, Any]:
    start = hidden.detach().requires_grad_()
    nats = token_nats(start, targets, head)
    assert nats.dtype == torch.float32
    (gradient,) = torch.autograd.grad((nats * upstream).sum(), start)
    assert gradient.dtype == hidden.dtype
    return nats.detach().double(), gradient.double()


def off(found: Any, wanted: Any) -> float:
    """Relative difference of two tensors."""
    return float((found - wanted).norm() / wanted.norm())
