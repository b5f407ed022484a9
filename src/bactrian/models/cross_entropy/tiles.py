"""Cross-entropy of a frozen head in tiles of rows and vocabulary that stay in a CPU's cache.

It is attention with the hidden states as queries and the head's weight as keys and values: one
pass makes the softmax's sums and its product with the weight, 4 * width * vocab flops a row. What
is subtracted before the exponential is the target's own logit, inside the matrix product and
before its result is rounded: no maximum to look for, nothing to rescale, and a likely token keeps
its digits. Rows whose target costs more than ``ROOM`` nats are told by their sum and done again
in whole rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import pad

from bactrian.models.cross_entropy.plain import PlainHead
from bactrian.models.cross_entropy.rows import in_rows
from bactrian.models.cross_entropy.softmax import Found, Sums, capped, finish

ROOM = 60.0
"""Nats: e^60 times a vocabulary is far from the end of float32 and of bfloat16."""
ROWS = 1024
"""Rows of a tile, at most."""
UNIT = 128
"""Tiles have a multiple of so many rows: oneDNN makes, and keeps, a kernel for every shape."""
LOGITS = 1 << 20
"""Of a tile; 2 MB in half precision."""
COLUMNS = (1024, 4096)
"""Tokens of a tile, at least and at most."""
GROUP = 128
"""Half-precision terms summed before float32 takes over."""
MERGED = 4
"""Tiles whose half-precision products are added before float32 takes over."""


class Chunk(NamedTuple):
    """Some rows, and where their targets are in tiles of ``width`` tokens."""

    hidden: torch.Tensor
    """[rows, width of the model], in the head's dtype."""
    reference: torch.Tensor
    """The targets' logits, [rows, 1], in the head's dtype."""
    width: int
    order: torch.Tensor
    """Rows by rising target."""
    targets: torch.Tensor
    """The targets in that order."""
    edges: list[int]
    """Place in ``order`` of the first target of each tile, and the number of rows."""


def in_tiles(
    hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead, *, gradient: bool
) -> Found:
    """Return -log p of ``targets`` [n] at ``hidden`` [n, width] and, if wanted, its gradient.

    The head's dtype is float32 or bfloat16: the exponent of others is too short.
    """
    rows = len(hidden)
    nats = torch.empty(rows, device=hidden.device)
    gradients = torch.empty(hidden.shape, device=hidden.device) if gradient else None
    step = -(-rows // -(-rows // ROWS) // UNIT) * UNIT
    for start in range(0, rows, step):
        mine = slice(start, min(start + step, rows))
        count = mine.stop - start
        blank = (0, 0, 0, step - count)
        chunk, wanted = pad(hidden[mine].to(head.dtype), blank), pad(targets[mine], blank[2:])
        found = _found(chunk, wanted, head, gradient)
        nats[mine] = found.nats[:count]
        if gradients is not None and found.gradients is not None:
            gradients[mine] = found.gradients[:count]
    return Found(nats, gradients)


def _found(hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead, gradient: bool) -> Found:
    sums = _sums(_chunk(hidden, targets, head), head, gradient)
    found = finish(sums, hidden, targets, head)
    # what is not a number is not at most ROOM either
    beyond = (~(found.nats <= ROOM)).nonzero().squeeze(1)
    if len(beyond):
        again = in_rows(hidden[beyond], targets[beyond], head, gradient=gradient)
        found.nats[beyond] = again.nats
        if found.gradients is not None and again.gradients is not None:
            found.gradients[beyond] = again.gradients
    return found


def _chunk(hidden: torch.Tensor, targets: torch.Tensor, head: PlainHead) -> Chunk:
    width = min(max(LOGITS // len(hidden), COLUMNS[0]), COLUMNS[1]) // GROUP * GROUP
    at_target, _ = capped(head.logits_of(hidden, targets), head.cap)
    in_order, order = targets.sort()
    starts = torch.arange(0, len(head) + width, width, device=targets.device)
    edges = torch.searchsorted(in_order, starts).tolist()
    return Chunk(hidden, at_target.to(head.dtype).unsqueeze(1), width, order, in_order, edges)


def _sums(chunk: Chunk, head: PlainHead, gradient: bool) -> Sums:
    rows, width = chunk.hidden.shape
    space = chunk.hidden.new_empty(rows * chunk.width)
    part = chunk.hidden.new_empty(rows, width)
    total = torch.zeros(rows, device=part.device)
    product = torch.zeros(rows, width, device=part.device) if gradient else None
    for tile, start in enumerate(range(0, len(head), chunk.width)):
        stop = min(start + chunk.width, len(head))
        terms = space[: rows * (stop - start)].view(rows, stop - start)
        weight = head.rows(start, stop)
        total += _exponentials(terms, chunk, head, tile, weight)
        if product is None:
            continue
        if product.dtype == weight.dtype:
            product.addmm_(terms, weight)
            continue
        torch.addmm(part, terms, weight, beta=min(1, tile % MERGED), out=part)
        if tile % MERGED == MERGED - 1 or stop == len(head):
            product += part
    return Sums(total, chunk.reference.squeeze(1).float(), product)


def _exponentials(
    terms: torch.Tensor, chunk: Chunk, head: PlainHead, tile: int, weight: torch.Tensor
) -> torch.Tensor:
    """Fill ``terms`` with exp(logit - reference) * slope, 0 at targets; return sums, float32 [n].

    The sums are of the exponentials without the slope.
    """
    start = tile * chunk.width
    stop = start + terms.shape[1]
    shift = head.shift(start, stop)
    begin = -chunk.reference if head.cap is None else chunk.reference.new_zeros(1, 1)
    begin = begin if shift is None else (shift + begin.float()).to(head.dtype)
    torch.addmm(begin.expand_as(terms), chunk.hidden, weight.t(), alpha=head.scale, out=terms)
    first, last = chunk.edges[tile : tile + 2]
    inside = chunk.order[first:last] * (stop - start) + chunk.targets[first:last] - start
    if head.cap is None:
        terms.exp_().view(-1).index_fill_(0, inside, 0)
        return _row_sums(terms)
    return _capped_exponentials(terms, inside, chunk.reference.float(), head.cap)


def _capped_exponentials(
    terms: torch.Tensor, targets: torch.Tensor, reference: torch.Tensor, cap: float
) -> torch.Tensor:
    scores, slope = capped(terms.float(), cap)
    scores = scores.sub_(reference).exp_()
    scores.view(-1).index_fill_(0, targets, 0)
    total: torch.Tensor = scores.sum(1)
    terms.copy_(scores if slope is None else scores.mul_(slope))
    return total


def _row_sums(terms: torch.Tensor) -> torch.Tensor:
    """Return the sums of the rows, float32 [n]: half precision is converted a group at a time."""
    found: torch.Tensor
    if terms.dtype == torch.float32 or terms.shape[1] % GROUP:
        found = terms.sum(1, dtype=torch.float32)
    else:
        found = terms.view(len(terms), -1, GROUP).sum(2).sum(1, dtype=torch.float32)
    return found
