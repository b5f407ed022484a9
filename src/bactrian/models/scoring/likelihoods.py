"""Log-likelihoods of tokens at hidden states: each state once, however many tokens are asked of it.

The logits of some rows and some of the vocabulary exist at a time; sums are float32 whatever the
weights are. Knows nothing of requests, tries or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from bactrian.models.cross_entropy.pieces import vocabulary
from bactrian.models.cross_entropy.plain import PlainHead, plain
from bactrian.models.head import Head

HEAD_ROWS = 640
"""Hidden states at once, at most; fewer where the vocabulary does not come in tiles."""
COLUMNS = 2048
"""Tokens of a tile on a CPU: with its rows, 5 MB that stay in the cache."""
BYTES = 256 << 20
"""Largest piece of float32 logits where the whole vocabulary is computed at once."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Tokens asked of hidden states, by rising row."""

    rows: torch.Tensor
    """int64 [pairs]: which hidden state."""
    targets: torch.Tensor
    """int64 [pairs]: which token after it."""


class Found(NamedTuple):
    """What is said of each pair."""

    nats: torch.Tensor
    """Log-likelihood, float32 [pairs]."""
    greedy: torch.Tensor
    """bool [pairs]: no token is likelier."""


Logits = Callable[[torch.Tensor, int, int], torch.Tensor]
"""Float32 logits [rows, stop - start] of hidden states, which the caller may change."""


def token_likelihoods(hidden: torch.Tensor, pairs: Pairs, head: Head) -> Found:
    """Return what the head says of ``pairs`` at hidden states [n, width]; makes no gradient.

    Of tokens that are equally likely each counts as greedy.
    """
    most, columns, logits = _way(hidden, head)
    pieces = max(1, -(-len(hidden) // most))
    step = -(-len(hidden) // pieces) or 1  # even ones: a product of few rows is a slow one
    words, found = vocabulary(head), []
    for start in range(0, len(hidden), step):
        edges = pairs.rows.new_tensor([start, start + step])
        first, last = torch.searchsorted(pairs.rows, edges).tolist()
        mine = Pairs(pairs.rows[first:last] - start, pairs.targets[first:last])
        piece = hidden[start : start + step]
        tiles = (
            (at, logits(piece, at, min(at + columns, words))) for at in range(0, words, columns)
        )
        found.append(_merged(tiles, mine, len(piece)))
    if not found:
        none = hidden.new_empty(0, dtype=torch.float32)
        return Found(none, none.bool())
    return Found(*map(torch.cat, zip(*found, strict=True)))


def of_logits(logits: torch.Tensor, targets: torch.Tensor) -> Found:
    """Return the same of float32 logits [n, vocab] that are there already, one target each."""
    rows = torch.arange(len(targets), device=targets.device)
    return _merged(iter([(0, logits)]), Pairs(rows, targets), len(logits))


def _way(hidden: torch.Tensor, head: Head) -> tuple[int, int, Logits]:
    """Return how many rows and how many tokens are computed at once, and by what."""
    words = vocabulary(head)
    numbers = plain(head, hidden)
    step = max(1, min(HEAD_ROWS, BYTES // (4 * words)))
    if numbers is None:
        return step, words, lambda piece, start, stop: head.logits(piece)
    if hidden.device.type != "cpu":
        return max(1, BYTES // (4 * words)), words, _Tiles(numbers)
    return HEAD_ROWS, min(COLUMNS, words), _Tiles(numbers)


class _Tiles:
    """The logits of a plain head, a tile of the vocabulary at a time, in memory used again."""

    def __init__(self, head: PlainHead) -> None:
        self.head = head
        self._space: torch.Tensor | None = None

    def __call__(self, hidden: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        head, size = self.head, len(hidden) * (stop - start)
        piece = hidden.to(head.dtype)
        if self._space is None or self._space.numel() < size:
            self._space = piece.new_empty(size)
        logits = self._space[:size].view(len(hidden), stop - start)
        torch.mm(piece, head.rows(start, stop).t(), out=logits)
        logits = logits.float()
        if head.scale != 1.0:
            logits.mul_(head.scale)
        shift = head.shift(start, stop)
        if shift is not None:
            logits.add_(shift)
        if head.cap is not None:
            logits.div_(head.cap).tanh_().mul_(head.cap)
        return logits


def _merged(tiles: Iterator[tuple[int, torch.Tensor]], pairs: Pairs, rows: int) -> Found:
    """Bring the tiles of the vocabulary of some rows together; the tiles are overwritten."""
    at_target = torch.empty(len(pairs.targets), device=pairs.targets.device)
    tops, totals = [], []
    in_order, order = pairs.targets.sort()
    for start, logits in tiles:
        edges = in_order.new_tensor([start, start + logits.shape[1]])
        first, last = torch.searchsorted(in_order, edges).tolist()
        mine = order[first:last]
        at_target[mine] = logits[pairs.rows[mine], pairs.targets[mine] - start]
        tops.append(logits.amax(1))
        totals.append(logits.sub_(tops[-1].unsqueeze(1)).exp_().sum(1))
    peaks = torch.stack(tops)
    top = peaks.amax(0)
    total = torch.stack(totals).mul_((peaks - top).exp_()).sum(0).log_() + top
    return Found(at_target - total[pairs.rows], at_target >= top[pairs.rows])
