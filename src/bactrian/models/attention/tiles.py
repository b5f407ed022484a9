"""How rows are cut into square blocks of scores of few sizes, many of them at once.

Equal blocks are computed together, whatever rows and documents they belong to: a call costs 20
microseconds before it computes anything, and a size never met before a millisecond. Knows nothing
of scores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch

from bactrian.models.attention.scores import Documents

LARGEST = 128
"""Positions of a block at most: half of a row of one block is computed for nothing."""
STEP = 32
"""Block sizes are multiples of it, where documents differ: fewer sizes, more of each."""
ELEMENTS = 1 << 17
"""Scores computed at once, at most: half a megabyte, twice: a core's second cache holds that."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Documents of about one length, cut into ``count`` blocks of ``size`` positions each."""

    count: int
    size: int
    documents: int
    heads: int
    """Key heads at once."""
    tokens: torch.Tensor
    """int64 [documents x count x size]: the token at each place; the first after the end."""
    into: torch.Tensor
    """The same for writing: after a document's end a token past the last one."""
    empty: torch.Tensor
    """int64: the places that hold none."""
    first: int
    """The first token, where places and tokens are the same, one after the other; else -1."""


def tiles(rows: Documents | tuple[int, int], heads: int, group: int) -> tuple[Tiles, ...]:
    """Return the tiles of a batch (rows, length), or of one row of documents.

    ``heads`` are key heads, ``group`` the queries' heads of each.
    """
    if isinstance(rows, tuple):
        return _of_rows(*rows, heads, group)

    def make() -> tuple[Tiles, ...]:
        return _cut(rows.lengths, heads, group)

    name = f"tiles of {heads} x {group} heads"
    found: tuple[Tiles, ...] = rows.keep(name, torch.device("cpu"), make)
    return found


@lru_cache(maxsize=64)
def _of_rows(rows: int, length: int, heads: int, group: int) -> tuple[Tiles, ...]:
    return _cut((length,) * rows, heads, group)


def _cut(lengths: Sequence[int], heads: int, group: int) -> tuple[Tiles, ...]:
    starts = list(accumulate(lengths, initial=0))
    alike: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    block = _exact if len(set(lengths)) == 1 else _rounded
    for start, length in zip(starts, lengths, strict=False):
        alike[block(length)].append((start, length))
    return tuple(
        made
        for blocks, spans in sorted(alike.items())
        for made in _chunks(spans, blocks, heads, group, starts[-1])
    )


def _rounded(length: int) -> tuple[int, int]:
    """Return how many blocks, and of which size."""
    count = -(-length // LARGEST)
    return count, -(-length // (count * STEP)) * STEP


def _exact(length: int) -> tuple[int, int]:
    """Return blocks that fill the row to its end, where there are such of a good size."""
    least = -(-length // LARGEST)
    for count in range(least, 2 * least + 1):
        if length % count == 0:
            return count, length // count
    return _rounded(length)


def _chunks(
    spans: Sequence[tuple[int, int]], blocks: tuple[int, int], heads: int, group: int, total: int
) -> list[Tiles]:
    """Return tiles of documents of one size, as many at once as the cache takes."""
    count, size = blocks
    at_once = max(1, ELEMENTS // (size * size * group))
    heads_at_once = max(
        part for part in range(1, heads + 1) if heads % part == 0 and part <= at_once
    )
    most = 1 if heads_at_once < heads else _power(at_once // heads)
    found, start = [], 0
    while start < len(spans):
        taken = min(most, _power(len(spans) - start))
        found.append(_tiles(spans[start : start + taken], count, size, heads_at_once, total))
        start += taken
    return found


def _power(number: int) -> int:
    """Return the largest power of two up to ``number``: few numbers of blocks, few kernels."""
    return 1 << max(0, number.bit_length() - 1)


def _tiles(
    spans: Sequence[tuple[int, int]], count: int, size: int, heads: int, total: int
) -> Tiles:
    room = count * size
    place = torch.arange(room)
    starts = torch.tensor([start for start, _ in spans])[:, None]
    holds = (place < torch.tensor([length for _, length in spans])[:, None]).flatten()
    tokens = (starts + place).flatten()
    into = tokens.where(holds, torch.tensor(total))
    tokens = tokens.where(holds, starts.expand(-1, room).flatten())
    empty = (~holds).nonzero().squeeze(1)
    whole = not len(empty) and bool((tokens.diff() == 1).all())
    first = int(tokens[0]) if whole else -1
    return Tiles(count, size, len(spans), heads, tokens, into, empty, first)
