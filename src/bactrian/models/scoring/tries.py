"""Token tries: requests that begin alike share what is alike. Knows no tensors and no models.

The options of a question, the two sentences of a Winograd pair, the examples before a question and
plain repeats are all the same case: a prefix that is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bactrian.models.scoring.requests import Request

WORTH = 512
"""A shared token saves as much as so many pairs of tokens cost that only lie in one trie.

Attention is computed between all tokens of a trie, and hidden from those that are no ancestors.
"""
LONGER = 2
"""A trie may be so many times as long as what joins it, beyond the size that was asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a request stands in a trie."""

    request: int
    """Its index."""
    nodes: tuple[int, ...]
    """The nodes that the tokens of its continuation follow, one each."""
    targets: tuple[int, ...]
    """Those tokens."""


@dataclass(frozen=True, slots=True)
class Trie:
    """Tokens in depth-first order; node i sees node j where ``j <= i <= ends[j]``."""

    tokens: tuple[int, ...]
    depths: tuple[int, ...]
    """Ancestors of each node: its position in every request that runs through it."""
    ends: tuple[int, ...]
    """The last node below each, itself where there is none."""
    asked: tuple[Asked, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def tries(requests: Sequence[Request], largest: int) -> list[Trie]:
    """Return tries of up to ``largest`` nodes that hold every request once.

    A request longer than that has a trie to itself or shares one of up to twice its length. Raises
    ValueError for a request without context whose first token is to be scored.
    """
    read = [request.read for request in requests]
    found: list[_Growing] = []
    before: tuple[int, ...] = ()
    for index in sorted(range(len(requests)), key=lambda index: (read[index], index)):
        shared = _alike(before, read[index])
        if not found or not found[-1].gains(shared, len(read[index]), largest):
            found.append(_Growing())
            shared = 0
        found[-1].add(index, requests[index], read[index], shared)
        before = read[index]
    return [growing.grown() for growing in found]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    for place, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return place
    return min(len(one), len(other))


class _Growing:
    """A trie under way; requests come sorted by their tokens, so it is in depth-first order."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.depths: list[int] = []
        self.ends: list[int] = []
        self.asked: list[Asked] = []
        self._path: list[int] = []

    def gains(self, shared: int, length: int, largest: int) -> bool:
        """Whether a request that shares some tokens is better off in this trie than in its own."""
        size, new = len(self.tokens), length - shared
        fits = size + new <= max(largest, LONGER * length)
        return fits and shared * WORTH >= size * new

    def add(self, index: int, request: Request, read: Sequence[int], shared: int) -> None:
        """Add a request whose first ``shared`` tokens are those of the request before it."""
        self._leave(shared)
        for token in read[shared:]:
            self.depths.append(len(self._path))
            self._path.append(len(self.tokens))
            self.tokens.append(token)
            self.ends.append(-1)
        first = len(request.context) - 1
        if first < 0 and request.continuation:
            raise ValueError("a request has to begin with a context: a token of it at least")
        nodes = tuple(self._path[max(first, 0) :]) if request.continuation else ()
        self.asked.append(Asked(index, nodes, request.continuation))

    def grown(self) -> Trie:
        """Return the trie."""
        self._leave(0)
        return Trie(tuple(self.tokens), tuple(self.depths), tuple(self.ends), tuple(self.asked))

    def _leave(self, depth: int) -> None:
        """Close the nodes of the path below a depth."""
        for node in self._path[depth:]:
            self.ends[node] = len(self.tokens) - 1
        del self._path[depth:]
