"""Cross-entropy at chosen positions: hidden states and targets in, -log p of each target out.

No [tokens, vocab] tensor ever exists. Where the head is frozen its gradient is made in the forward
pass; where it is trained the backward pass makes the logits anew, a tile at a time. The ways, each
a file: tiles of rows and vocabulary on a CPU (``tiles``), whole rows on a GPU (``rows``), the
weight's gradient too (``trained``), and the head's own forward in pieces where the head is more
than one linear layer (``pieces``). Knows nothing of batches, languages or losses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from bactrian.models.cross_entropy.frozen import with_gradient
from bactrian.models.cross_entropy.pieces import in_pieces, recomputed
from bactrian.models.cross_entropy.plain import PlainHead, plain
from bactrian.models.cross_entropy.rows import in_rows
from bactrian.models.cross_entropy.softmax import Found
from bactrian.models.cross_entropy.tiles import in_tiles
from bactrian.models.cross_entropy.trained import TrainedHead
from bactrian.models.head import Head


def token_nats(hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    """Return -log p, float32 [n], of ``targets`` int64 [n] at hidden states [n, width].

    Differentiable in ``hidden`` and in the head's weights where they are trained, for any weighting
    of the rows; once, not twice. Without gradients nothing but the nats is made. Raises IndexError
    where a target is not in the vocabulary (a CUDA device stops with an assertion).
    """
    if not len(hidden):
        return hidden.sum(1, dtype=torch.float32)
    numbers = plain(head, hidden)
    trains = torch.is_grad_enabled() and any(w.requires_grad for w in head.linear.parameters())
    if numbers is None and trains:
        return recomputed(hidden, targets, head)
    if numbers is None:
        return with_gradient(hidden, partial(in_pieces, targets=targets, head=head))
    with torch.autocast(hidden.device.type, enabled=False):  # the dtype is in the numbers
        way = partial(_way(numbers, hidden.device), targets=targets, head=numbers)
        if not trains:
            return with_gradient(hidden, way)
        found: torch.Tensor = TrainedHead.apply(
            hidden, numbers.weight, numbers.bias, targets, numbers, way
        )
        return found


def _way(head: PlainHead, device: torch.device) -> Callable[..., Found]:
    tiled = device.type == "cpu" and head.dtype in (torch.float32, torch.bfloat16)
    return in_tiles if tiled else in_rows
