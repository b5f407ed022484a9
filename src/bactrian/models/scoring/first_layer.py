"""The first layer's queries, keys and values: once for tokens that are alike.

Before its attention the first layer knows of a token nothing but which one it is, unless positions
are added to the embeddings. Two thirds of the tokens of a row of questions stand in it before
(prompts, letters, frequent words). Whether equal tokens at different positions come as equal states
is looked at, once for a model at work. Knows no texts and no tries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from bactrian.models.scoring.layers import layers, of_attention, wrapped

PRODUCTS = ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "query", "key", "value")
"""What architectures call the products that an attention begins with."""
WORTH = 0.75
"""Share of different tokens, above which each is computed for itself."""


class Repeats(NamedTuple):
    """Which tokens of a row are alike."""

    firsts: torch.Tensor
    """int64 [kinds]: a place of each different token."""
    kinds: torch.Tensor
    """int64 [tokens]: which of them each token is."""


def repeats(ids: torch.Tensor, positions: torch.Tensor) -> Repeats | None:
    """Return what repeats in ``ids``, int64 [tokens], None where it is not worth it.

    Follows from the row alone: a run that goes on after a kill computes the very same products.
    Equal tokens at equal positions alone would prove nothing, and are left.
    """
    different, kinds = ids.unique(return_inverse=True)
    if len(different) > WORTH * len(ids):
        return None
    places = torch.arange(len(ids), device=ids.device)
    firsts = places.new_empty(len(different)).scatter_(0, kinds, places)  # any one of them
    moved = not torch.equal(positions[firsts][kinds], positions)
    return Repeats(firsts, kinds) if moved else None


class Repeated:
    """What repeats in the row that is being scored, and whether the model lets it be shared."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing of the model any more, nor of a row."""
        self._row: Repeats | None = None
        self._given: tuple[torch.Tensor, torch.Tensor] | None = None
        self._proven: bool | None = None

    @contextmanager
    def row(self, found: Repeats | None) -> Iterator[None]:
        """Have the first layer work once on what repeats."""
        self._row = found
        try:
            yield
        finally:
            self._row = self._given = None

    def forward(self, own: Any, x: torch.Tensor) -> torch.Tensor:
        """Return y [1, tokens, out] of a product for x [1, tokens, in]."""
        row = self._row
        if row is None or x.shape[:2] != (1, len(row.kinds)) or not self._holds(x, row):
            whole: torch.Tensor = own(x)
            return whole
        if self._given is None or self._given[0] is not x:  # the same one for all that read it
            self._given = x, x[:, row.firsts]
        found: torch.Tensor = own(self._given[1])
        return found[:, row.kinds]

    def _holds(self, x: torch.Tensor, row: Repeats) -> bool:
        """Whether tokens that are alike have states that are the same."""
        if self._proven is None:
            self._proven = torch.equal(x[:, row.firsts][:, row.kinds], x)
        return self._proven


@contextmanager
def deduplicated(body: torch.nn.Module, repeated: Repeated) -> Iterator[None]:
    """Have the first layer look at ``repeated`` inside the block; its forwards come back."""
    found = layers(body)
    try:
        with wrapped(of_attention(found[0], PRODUCTS) if found else [], repeated.forward):
            yield
    finally:
        repeated.forget()
