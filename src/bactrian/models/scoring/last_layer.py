"""The last layer at the places that are asked of, and nowhere else.

After its attention a layer works on every token by itself, and what the last one makes of a token
of which nothing is asked is read by nobody. The attention's last product and the MLP get the asked
tokens alone; elsewhere stand zeros. Knows no texts and no heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

AFTER_ATTENTION = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
"""What architectures call the part of a layer that follows its attention."""
OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj")
"""What they call the last product of an attention."""
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
    replaced: list[tuple[Any, Any]] = []
    try:
        for module in by_token(body):
            replaced.append((module, vars(module).get("forward")))
            module.forward = partial(_forward, module.forward, asked)
        yield
    finally:
        for module, own in replaced:
            if own is None:
                vars(module).pop("forward", None)
            else:
                module.forward = own


def by_token(body: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the modules of the last layer that take each token by itself, none where unknown."""
    lists = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = getattr(getattr(body, "config", None), "num_hidden_layers", None)
    blocks = next((found for found in lists if len(found) == layers), None)
    if not blocks:
        return []
    found = []
    for name, child in blocks[-1].named_children():
        if name in AFTER_ATTENTION:
            found.append(child)
        elif "attn" in name or "attention" in name:
            found += [inner for called, inner in child.named_children() if called in OUTPUTS]
    return found


def _forward(own: Any, asked: Asked, x: torch.Tensor, *rest: Any, **told: Any) -> Any:
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
