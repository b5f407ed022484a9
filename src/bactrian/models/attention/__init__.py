"""Attention of training batches, exact and fast: padded rows and packed ones, on every device.

``fast_attention(model)`` puts it into a loaded transformers model for as long as a block lasts. It
is tested against the model's own attention first, and what disagrees is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bactrian.models.attention.state import Attention

__all__ = ["fast_attention"]


@contextmanager
def fast_attention(model: Any) -> Iterator[Attention]:
    """Have a causal model (plain or with PEFT's layers inside) use our attention in the block.

    What disagrees with the model's own attention by more than rounding is not used, and a warning
    says so; then ``packs`` or ``fast`` is False and ``why`` a sentence. Encoder-decoders keep what
    they have. Afterwards the model is as it was.
    """
    from bactrian.events import emit
    from bactrian.models.attention.install import choose, install
    from bactrian.models.attention.state import Attention

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if causal.config.is_encoder_decoder:
        yield Attention(why="encoder-decoders keep their own attention")
        return
    found = choose(causal)
    attention = Attention(found.ways if found.fast else (), found.fast, found.packs, found.why)
    if found.why:
        emit("warning", text=f"{type(causal).__name__}: {found.why}")
    with install(causal, attention) if found.fast else nullcontext():
        yield attention
