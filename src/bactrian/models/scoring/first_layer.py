"""The first layer's queries, keys and values: once for tokens that are alike.

Before its attention the first layer knows of a token nothing but which one it is, unless positions
are added to the embeddings. Two thirds of the tokens of a row of questions stand in it before
(prompts, letters, frequent words). Whether equal tokens at different positions come as equal states
is looked at, once for a model at work. Knows no texts and no tries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from bactrian.models.scoring.layers import layers, of_attention, wrapped

PRODUCTS = ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "query", "key", "value")
"""What architectures call the products that an attention begins with."""
WORTH = 0.75
"""Share of different tokens, above which each is computed for itself."""


class Alike:
    """The tokens of the row that is being scored."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing of the model any more, nor of a row."""
        self._row: tuple[torch.Tensor, torch.Tensor] | None = None
        self._given: tuple[torch.Tensor, torch.Tensor] | None = None
        self._proven: bool | None = None

    @contextmanager
    def row(self, ids: torch.Tensor, positions: torch.Tensor) -> Iterator[None]:
        """Have the first layer work once on tokens that are alike, int64 [1, tokens] both.

        Which rows are worth it follows from the row alone, as a run that goes on after a kill
        computes the very same products; one of equal tokens at equal positions proves nothing.
        """
        kinds, inverse = ids[0].unique(return_inverse=True)
        if len(kinds) <= WORTH * len(inverse) and self._proven is not False:
            places = torch.arange(len(inverse), device=ids.device)
            firsts = places.new_empty(len(kinds)).scatter_(0, inverse, places)  # any one of them
            if not torch.equal(positions[0][firsts][inverse], positions[0]):
                self._row = firsts, inverse
        try:
            yield
        finally:
            self._row = self._given = None

    def forward(self, own: Any, x: torch.Tensor) -> torch.Tensor:
        """Return y [1, tokens, out] of a product for x [1, tokens, in]."""
        row = self._row
        if row is None or x.shape[:2] != (1, len(row[1])) or not self._holds(x, *row):
            whole: torch.Tensor = own(x)
            return whole
        if self._given is None or self._given[0] is not x:  # the same one for all that read it
            self._given = x, x[:, row[0]]
        found: torch.Tensor = own(self._given[1])
        return found[:, row[1]]

    def _holds(self, x: torch.Tensor, firsts: torch.Tensor, inverse: torch.Tensor) -> bool:
        """Whether tokens that are alike have states that are the same."""
        if self._proven is None:
            self._proven = torch.equal(x[:, firsts][:, inverse], x)
        return self._proven


@contextmanager
def once(body: torch.nn.Module, alike: Alike) -> Iterator[None]:
    """Have the first layer look at ``alike`` inside the block; its forwards come back after it."""
    alike.forget()
    found = layers(body)
    products = of_attention(found[0], PRODUCTS) if found else []
    try:
        with wrapped(products, partial(Alike.forward, alike)):
            yield
    finally:
        alike.forget()
