"""The tensors of some blocks, laid out so that every product of theirs is one call.

Positions come first, blocks of a size after one another: [blocks, rows x key heads, positions x
heads of the group, width]. A sum that half precision cannot hold becomes three further columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import frexp, prod
from threading import local

import torch

from bactrian.models.attention.scores import Documents, Scores
from bactrian.models.attention.tiles import Tiles, tiles

HIDDEN = -1e5
"""Added to a score that is not to be seen."""
TERMS = 3
"""Numbers of bfloat16 that one of float32 is the sum of."""
FULL = 16
"""Further columns are filled up with zeros to a multiple of it: the products are as fast and have
fewer shapes, for each of which oneDNN makes a kernel of half a megabyte, of two where it is odd."""
_kept = local()
BYTE = 256
"""Whole numbers up to here are exact in bfloat16."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Which keys of a block the queries of another see, where they do not see all."""

    hidden: torch.Tensor
    """[queries, keys]: what is added to the scores, 0 or HIDDEN."""
    seen: torch.Tensor
    """[queries, keys]: what the shares are multiplied by, 1 or 0."""
    seen_by_keys: torch.Tensor
    """[keys, queries]."""


class Call:
    """One call of attention: flat tensors, and what the scores are made of."""

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scores: Scores,
        documents: Documents | None,
    ) -> None:
        """Take queries [rows, heads, length, width], keys and values [rows, key heads, …]."""
        self.states = tuple(flat(states.transpose(1, 2)) for states in (query, key, value))
        self.kind = torch.float64 if query.dtype == torch.float64 else torch.float32
        self.scores = scores
        self.heads = key.shape[1]
        self.group = query.shape[1] // key.shape[1]
        rows, _, length, _ = query.shape
        sizes = documents or (rows, length)
        self.tiles = tiles(sizes, self.heads, self.group)
        exact = frexp(scores.scale)[0] == 0.5 or query.dtype in (torch.float32, torch.float64)
        exact &= scores.cap is None
        self.before = scores.scale if exact else 1.0
        """What queries are multiplied by before the product: what leaves them as exact."""
        self.after = 1.0 if exact else scores.scale

    def parts(self) -> Iterator[Part]:
        """Yield what is computed at once."""
        for tile in self.tiles:
            for first in range(0, self.heads, tile.heads):
                yield Part(self, tile, first)


class Part:
    """Blocks of some documents and some heads."""

    def __init__(self, call: Call, tile: Tiles, first: int) -> None:
        """Take the call, its tiles, and the first of their key heads."""
        self.call, self.tile, self.scores = call, tile, call.scores
        self.before, self.after = call.before, call.after
        self._keys = slice(first, first + tile.heads)
        self._queries = slice(first * call.group, (first + tile.heads) * call.group)

    def queries(self, logs: torch.Tensor | None) -> torch.Tensor:
        """Return the queries, with columns for ALiBi and, where told, for minus the ``logs``."""
        slopes = self.scores.slopes
        columns = logs is not None and self.scores.cap is None
        extra = TERMS * columns + 2 * TERMS * (slopes is not None)
        found = self._take("query", self.call.states[0], self._queries, extra)
        width = self.call.states[0].shape[-1]
        after = width + TERMS * columns
        if self.before != 1.0:
            found[..., :width] *= self.before
        if columns and logs is not None:
            found[..., width : width + TERMS] = terms(logs / -self.after)
        if slopes is not None:
            tile, group = self.tile, self.call.group
            steep = terms(slopes[self._queries].to(found).view(-1, 1, group, 1) / self.after)
            laid = found.view(tile.count, tile.documents, tile.heads, tile.size, group, -1)
            laid[..., after : after + 2 * TERMS] = torch.cat([steep, steep], -1)
        return found

    def keys(self, columns: bool) -> torch.Tensor:
        """Return the keys, with the columns that those of the queries go with."""
        slopes = self.scores.slopes is not None
        ones = TERMS * (columns and self.scores.cap is None)
        found = self._take("key", self.call.states[1], self._keys, ones + 2 * TERMS * slopes)
        width = self.call.states[1].shape[-1]
        after = width + ones
        found[..., width:after] = 1.0
        if slopes:
            room = self.tile.count * self.tile.size
            place = torch.arange(room).view(self.tile.count, 1, self.tile.size, 1)
            found[..., after : after + TERMS] = place // BYTE * BYTE
            found[..., after + TERMS : after + 2 * TERMS] = place % BYTE
        return found

    def values(self, columns: bool) -> torch.Tensor:
        """Return the values, where asked with the columns that those of ``upstream`` go with."""
        found = self._take("value", self.call.states[2], self._keys, TERMS * columns)
        width = self.call.states[2].shape[-1]
        found[..., width : width + TERMS * columns] = 1.0
        return found

    def logs(self, logs: torch.Tensor) -> torch.Tensor:
        """Return the logs of the queries' sums."""
        return self._take("logs", logs, self._queries, 0)

    def upstream(self, slope: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Return the result's gradient, zero at places that hold no token.

        Its columns are minus the sum of gradient x result, which every share's gradient lacks.
        """
        given = self._take("slope", slope, self._queries, TERMS, blank=True)
        width = slope.shape[-1]
        drift = (given[..., :width] * self._take("mixed", mixed, self._queries, 0)).sum(
            -1, keepdim=True
        )
        given[..., width : width + TERMS] = terms(drift.neg_())
        return given

    def reach(self, at: int) -> range:
        """Return how many blocks back the queries of block ``at`` see keys, nearest first."""
        window, size = self.scores.window, self.tile.size
        seen = at + 1 if window is None else min(at + 1, (window + size - 2) // size + 1)
        return range(seen)

    def edge(self, back: int) -> Edge | None:
        """Return which keys are seen ``back`` blocks before the queries, None where all are."""
        window, size = self.scores.window, self.tile.size
        if back and (window is None or (back + 1) * size <= window):
            return None
        return _edge(size, self.call.group, back, window, self.call.kind)

    def bend(self, score: torch.Tensor) -> torch.Tensor | None:
        """Scale products in place and cap them; return the slope of the cap, where there is one."""
        cap = self.scores.cap
        if cap is None:
            if self.after != 1.0:
                score.mul_(self.after)
            return None
        bent = score.mul_(self.after / cap).tanh_().square()
        score.mul_(cap)
        return bent.neg_().add_(1.0)

    def put(self, found: torch.Tensor, into: torch.Tensor) -> None:
        """Write blocks into ``into`` [tokens + 1, heads, width]; further columns are left out.

        What belongs to no token is written to the row after the last token.
        """
        tile, width = self.tile, into.shape[-1]
        heads = self._keys if into.shape[1] == self.call.heads else self._queries
        group = (heads.stop - heads.start) // tile.heads
        rows = found.view(tile.count, tile.documents, tile.heads, tile.size, group, -1)
        rows = rows[..., :width].permute(1, 0, 3, 2, 4, 5)
        if tile.first >= 0:
            whole = into[tile.first : tile.first + len(tile.tokens), heads]
            whole.view(rows.shape).copy_(rows)
            return
        laid = room("laid", rows.shape, into.dtype).copy_(rows)
        into[:, heads].index_copy_(0, tile.into, laid.view(len(tile.into), -1, width))

    def _take(
        self,
        name: str,
        states: torch.Tensor,
        heads: slice,
        extra: int,
        *,
        blank: bool = False,
    ) -> torch.Tensor:
        """Return blocks of ``states`` [tokens, heads, width] with room for further columns."""
        tile, width = self.tile, states.shape[-1]
        if tile.first >= 0:
            rows = states[tile.first : tile.first + len(tile.tokens), heads]
        else:
            rows = states[:, heads].index_select(0, tile.tokens)  # small: it stays in the cache
            if blank:
                rows.index_fill_(0, tile.empty, 0.0)
        group = (heads.stop - heads.start) // tile.heads
        shape = (tile.documents, tile.count, tile.size, tile.heads, group, width)
        rows = rows.view(shape).permute(1, 0, 3, 2, 4, 5)
        columns = -(-(width + extra) // FULL) * FULL if extra else width
        made = room(name, (*rows.shape[:-1], columns), self.call.kind)
        made[..., :width] = rows
        if extra:
            made[..., width + extra :] = 0.0
        return made.view(tile.count, tile.documents * tile.heads, tile.size * group, -1)


def room(name: str, shape: Sequence[int], kind: torch.dtype) -> torch.Tensor:
    """Return memory for numbers, not yet set: the same one each time it is asked for by a name.

    A fresh allocation costs more than what is computed in it: its pages have to be mapped first.
    """
    kept: dict[str, torch.Tensor] = vars(_kept)
    size, key = prod(shape), f"{name} {kind}"
    if key not in kept or kept[key].numel() < size:
        kept[key] = torch.empty(size, dtype=kind)
    return kept[key][:size].view(*shape)


def flat(states: torch.Tensor) -> torch.Tensor:
    """Return states [rows, length, heads, width] as [tokens, heads, width]."""
    return states.flatten(0, 1)


def terms(number: torch.Tensor) -> torch.Tensor:
    """Return [..., 3] of [..., 1]: numbers of bfloat16, the last a remainder, that sum to it."""
    first = number.bfloat16().to(number)
    rest = number - first
    second = rest.bfloat16().to(number)
    return torch.cat([first, second, rest - second], -1)


@lru_cache(maxsize=64)
def _edge(size: int, group: int, back: int, window: int | None, kind: torch.dtype) -> Edge:
    place = torch.arange(size)
    behind = place.repeat_interleave(group)[:, None] - place[None, :] + back * size
    seen = behind >= 0
    if window is not None:
        seen &= behind < window
    hidden = torch.where(seen, 0.0, HIDDEN).to(kind)
    return Edge(hidden, seen.to(kind), seen.T.contiguous().to(kind))
