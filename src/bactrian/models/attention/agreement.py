"""Compares a model under our attention with the same model under its own, on a few short rows.

Each document alone, all padded into one batch, all packed into one row: states at the head and
the gradient at the embeddings. Knows nothing of kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from bactrian.models.attention.scores import positions
from bactrian.models.attention.state import Attention

LENGTHS = (61, 32)
"""Tokens of the documents; the first also reaches past a window of the model's, if it can.

Few documents, and of one block each: oneDNN keeps a kernel for every shape that is met here."""
EDGE = 4
"""Tokens at both ends of a document that are compared: the first ones see a neighbour best."""
LONGEST = {"cpu": 576, "cuda": 4352}
"""Tokens of a row that are worth the time of a test."""
OWN = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Accepted distance to the model's own attention, as a share of the spread."""
OWN_HALF = 0.06
"""In half precision, where the own attention rounds its scores and biases and ours does not."""
ALONE = {torch.float32: 1e-4, torch.float64: 1e-4}
"""Accepted distance of padded and packed rows to single documents, both computed by ours."""
ALONE_HALF = 0.02, 0.12
"""The same in half precision: at least, and at most; between them twice the model's own noise."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is compared: a forward and a backward pass at chosen tokens."""

    states: torch.Tensor
    """float32 [tokens, width]: what the head would be given."""
    slope: torch.Tensor
    """float32 [tokens, width]: gradient at the embeddings."""

    def distance(self, other: Seen) -> float:
        """Return the larger root mean square difference, as a share of the other's spread."""
        return max(
            float((mine - theirs).square().mean().sqrt() / theirs.std().clamp_min(1e-12))
            for mine, theirs in ((self.states, other.states), (self.slope, other.slope))
        )


@contextmanager
def quiet(model: Any) -> Iterator[None]:
    """Have no dropout and no checkpointing inside the block; every module's mode comes back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        for module in training:
            module.training = True


def probes(model: Any) -> list[torch.Tensor]:
    """Return token ids [length] of a few documents, long enough for the model's window."""
    config = model.config.get_text_config()
    device = model.get_input_embeddings().weight.device
    limit = min(LONGEST.get(device.type, 576), getattr(config, "max_position_embeddings", 576))
    window = getattr(config, "sliding_window", None) or 0
    longest = max(LENGTHS[0], window + 8 if window + 8 <= limit else 0)
    lengths = [min(length, limit) for length in (longest, *LENGTHS[1:])]
    words = model.get_input_embeddings().weight.shape[0]
    return [
        (torch.arange(length, device=device) * 7919 + 31 * place + 5) % words
        for place, length in enumerate(lengths)
    ]


def alone(model: Any, documents: Sequence[torch.Tensor]) -> Seen:
    """Return what the model says, one document at a time."""
    return _joined([_pass(model, ids[None], [slice(0, len(ids))]) for ids in documents])


def padded(model: Any, documents: Sequence[torch.Tensor]) -> Seen:
    """Return what the model says of all in one batch, padded on the right, without a mask."""
    longest = max(map(len, documents))
    rows = documents[0].new_zeros(len(documents), longest)
    for row, ids in zip(rows, documents, strict=True):
        row[: len(ids)] = ids
    spans = [slice(row * longest, row * longest + len(ids)) for row, ids in enumerate(documents)]
    return _pass(model, rows, spans)


def packed(model: Any, documents: Sequence[torch.Tensor], attention: Attention | None) -> Seen:
    """Return what the model says of all in one row, its documents told to ``attention``."""
    lengths = [len(ids) for ids in documents]
    places = torch.tensor([positions(lengths)], device=documents[0].device)
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    spans = [slice(start, start + size) for start, size in zip(starts, lengths, strict=True)]
    with nullcontext() if attention is None else attention.row_of(lengths):
        return _pass(model, torch.cat(list(documents))[None], spans, position_ids=places)


def _pass(model: Any, ids: torch.Tensor, spans: Sequence[slice], **told: Any) -> Seen:
    """Run forward and backward; ``spans`` are the documents in the flattened rows."""
    embedded: list[torch.Tensor] = []

    def grasp(module: Any, given: Any, found: torch.Tensor) -> torch.Tensor:
        embedded.append(found.detach().requires_grad_())
        return embedded[-1]

    hook = model.get_input_embeddings().register_forward_hook(grasp)
    try:
        hidden = model.base_model(input_ids=ids, use_cache=False, **told).last_hidden_state
    finally:
        hook.remove()
    chosen = [place for span in spans for place in _edges(span)]
    states = hidden.flatten(0, 1)[chosen].float()
    weights = torch.linspace(-1.0, 1.0, states.shape[-1], device=states.device)
    (slope,) = torch.autograd.grad((states * weights).sum(), embedded[:1])
    whole = [place for span in spans for place in range(span.start, span.stop)]
    return Seen(states.detach(), slope.flatten(0, 1)[whole].float())


def _edges(span: slice) -> list[int]:
    inside = range(span.start, span.stop)
    return sorted({*inside[:EDGE], *inside[-EDGE:]})


def _joined(parts: Sequence[Seen]) -> Seen:
    return Seen(
        torch.cat([part.states for part in parts]), torch.cat([part.slope for part in parts])
    )


def own_limit(kind: torch.dtype) -> float:
    """Return the accepted distance to the model's own attention."""
    return OWN.get(kind, OWN_HALF)


def alone_limit(kind: torch.dtype, noise: float) -> float:
    """Return the accepted distance of padded and packed rows to single documents.

    ``noise`` is the distance of the model's own padded rows to its own single documents: what
    half precision makes of other shapes of the same sums, 0.045 in 30 layers of SmolLM2.
    """
    least, most = ALONE_HALF
    return ALONE.get(kind, min(max(least, 2 * noise), most))
