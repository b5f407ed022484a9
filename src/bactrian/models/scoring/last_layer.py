"""The last layer at the places that are asked of, and nowhere else.

But for the keys and values that others see, a layer works on every token by itself, and what the
last one makes of a token of which nothing is asked is read by nobody. The queries, the attention's
last product and the MLP get the asked tokens alone; elsewhere stand zeros. Knows no texts and no
heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from bactrian.models.scoring.layers import layers, of_attention, wrapped

AFTER_ATTENTION = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
"""What architectures call the part of a layer that follows its attention."""
OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj")
"""What they call the last product of an attention."""
QUERIES = ("q_proj", "query")
"""What they call the queries' product, where it is one of its own.

With LoRA it is left as it is: queries, keys and values are computed together then.
"""
WORTH = 0.75
"""Share of the tokens that are asked of, above which all are computed."""


class Asked:
    """The places of the row that is being scored."""

    def __init__(self) -> None:
        self.at: torch.Tensor | None = None
        self.tokens = 0

    @contextmanager
    def only(self, at: torch.Tensor, tokens: int) -> Iterator[None]:
        """Have the last layer work at the places ``at``, int64 [n], of a row of ``tokens``."""
        if len(at) <= WORTH * tokens:
            self.at, self.tokens = at, tokens
        try:
            yield
        finally:
            self.at = None


@contextmanager
def narrowed(body: torch.nn.Module, asked: Asked) -> Iterator[None]:
    """Have the last layer look at ``asked`` inside the block; its forwards come back after it."""
    with wrapped(by_token(body), partial(_forward, asked)):
        yield


def by_token(body: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the modules of the last layer that take each token by itself, none where unknown."""
    found = layers(body)
    if not found:
        return []
    after = [child for name, child in found[-1].named_children() if name in AFTER_ATTENTION]
    queries = [part for part in of_attention(found[-1], QUERIES) if not hasattr(part, "lora_A")]
    return [*queries, *of_attention(found[-1], OUTPUTS), *after]


def _forward(asked: Asked, own: Any, x: torch.Tensor, *rest: Any, **told: Any) -> Any:
    at = asked.at
    if at is None or x.shape[:2] != (1, asked.tokens):
        return own(x, *rest, **told)
    chosen = [_chosen(one, at, asked.tokens) for one in (x, *rest)]
    found = own(*chosen, **{name: _chosen(one, at, asked.tokens) for name, one in told.items()})
    if not isinstance(found, torch.Tensor):  # a router's choices come beside the states
        return own(x, *rest, **told)
    whole = found.new_zeros(1, asked.tokens, found.shape[-1])
    whole[:, at] = found
    return whole


def _chosen(given: Any, at: torch.Tensor, tokens: int) -> Any:
    whole = isinstance(given, torch.Tensor) and given.shape[:2] == (1, tokens)
    return given[:, at] if whole else given
