"""Memory that a micro-batch takes beyond weights, gradients and optimizer, by a formula.

With T tokens computed (padding counted) in rows of length L, n of them with a loss, H the width, V
the vocabulary, b the bytes of a number, and for each layer what ``shapes`` read off the model:

    layer       T * (stream * b' + kept * b + float32 * 4 + L * scores * b)
                stream: what its norms read, 2 H in most models; b' is b, 4 in full fine-tuning
                kept: queries, keys, values and what attention mixed (the scores are computed again
                on the way back); gate, its activation and up, 3 times the inner width, of an MLP
                without a gate once; H for the layers with adapters that read one input, the inner
                width where the last of the MLP has one; the ranks; the base's own dropout
    head        n * (H * 4 + H * b) for gradient and hidden states of the scored tokens, and a tile
                of logits: 2^20 numbers on a CPU, at most 512 MiB on a GPU; nothing is [n, V]
    way back    the larger of n * H * (4 + 4 + b) and the widest layer's gradients, T * back * b,
                where back is 3 times the inner width and 2 H

All layers and the head are alive together, then the way back begins:

    layers + H * T * b + max(head, way back)

With checkpointing every layer keeps what it reads, H, and one layer at a time is whole:

    layers * T * H * b' + largest layer + H * T * b + max(head, way back)

On a CPU malloc holds on to freed pieces of less than 32 MB (mallopt(3)): 2.5 layers of them were
measured beside what is in use. Full fine-tuning keeps besides a copy of the weights in b where that
is less than 4 bytes. DoRA goes through PEFT's own forward, whose copies in float32 are counted
roughly. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bactrian.train.forecast.shapes import Layer, Model

TILE = {"cpu": 1 << 20}
"""Logits of a tile."""
PIECE_BYTES = 512 << 20
"""Largest piece of logits on other devices."""
ROWS = 1024
"""Scored tokens of a tile on a CPU."""
HELD = 2.5
"""Layers' worth of freed pieces that malloc keeps."""
PIECE = 32 << 20
"""Bytes from which on a freed piece goes back at once."""


@dataclass(frozen=True, slots=True)
class Extents:
    """What a micro-batch computes."""

    rows: int
    source: int
    """Tokens of an encoder's longest row; 0 for a causal model."""
    longest: int
    """Tokens of the longest row (of an encoder-decoder: target)."""
    tokens: int
    """Tokens computed, padding counted; of an encoder-decoder those of the decoder."""
    scored: int
    """Tokens with a loss."""

    @property
    def heard(self) -> int:
        """Tokens that the encoder computes."""
        return self.rows * self.source

    @property
    def computed(self) -> int:
        """Tokens that encoder and decoder compute."""
        return self.tokens + self.heard


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes that a micro-batch takes at most, and what they are of."""

    layers_bytes: int
    head_bytes: int
    """Gradient and hidden states of the scored tokens, and a tile of logits."""
    back_bytes: int
    held_bytes: int
    """Freed, and not given back yet; 0 on a GPU."""
    total_bytes: int
    """Layers, the larger of head and way back, and what is held."""


def activations(model: Model, extents: Extents, device: str, *, checkpointing: bool) -> Activations:
    """Return the memory of one micro-batch, see the formula above."""
    item, width = model.item_bytes, model.width
    tokens = max(extents.tokens, extents.heard)
    sizes = [
        *_sizes(model, model.encoder, extents.heard, extents.source),
        *_sizes(model, model.decoder, extents.tokens, extents.longest),
    ]
    # keys and values that the decoder's cross-attention makes of the source
    crossed = sum(layer.sources for layer in model.decoder) * extents.heard * item
    if checkpointing:
        inputs = len(model.encoder) * extents.heard + len(model.decoder) * extents.tokens
        layers = inputs * width * model.stream_bytes + max(sizes)
        layers += crossed // max(1, len(model.decoder))
    else:
        layers = sum(sizes) + crossed
    ends = (extents.tokens + extents.heard) * width * model.stream_bytes  # the last norms
    copy = model.base_parameters * item if model.trains_all and item < 4 else 0
    head = extents.scored * width * (4 + item) + _tile(model, extents.scored, device)
    widest = max(layer.back for layer in (*model.encoder, *model.decoder))
    back = max(extents.scored * width * (8 + item), tokens * widest * item)
    held = 0
    if device == "cpu" and tokens * widest * item < 3 * PIECE:
        held = round(HELD * max(sizes))
    layers += ends + copy
    return Activations(layers, head, back, held, layers + max(head, back) + held)


def _sizes(model: Model, layers: Sequence[Layer], tokens: int, longest: int) -> list[int]:
    item = model.item_bytes
    return [
        tokens
        * (
            layer.stream * model.stream_bytes
            + layer.kept * item
            + layer.float32 * 4
            + longest * layer.scores * item
        )
        for layer in layers
    ]


def _tile(model: Model, scored: int, device: str) -> int:
    """Return the bytes of the logits that are there at once, and of their product."""
    if device in TILE:
        rows = min(scored, ROWS)
        return TILE[device] * model.item_bytes + rows * model.width * (4 + 2 * model.item_bytes)
    whole = scored * model.vocabulary * model.item_bytes
    return min(PIECE_BYTES, whole) + min(scored, ROWS) * model.width * model.item_bytes
