"""What is computed at once: tries end to end in rows of nearly one size, or padded requests.

Batches follow from the requests and the budget alone, so that a run that goes on after a kill
computes the very same numbers. Knows no tensors and no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bactrian.models.scoring.requests import Request
from bactrian.models.scoring.tries import Trie, tries

UNIT = 64
"""Rows are filled up to multiples of it: few shapes, whose kernels and memory are used again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that are scored together."""

    requests: tuple[int, ...]
    """Their indices, in the order in which they are answered."""
    given: tuple[Request, ...]
    """The requests themselves."""
    tries: tuple[Trie, ...] = ()
    """The same as tries of one row, longest first; empty where each request is a row."""
    blank: int = 0
    """Tokens that only fill the row up."""

    @property
    def tokens(self) -> int:
        """Tokens that are computed."""
        if self.tries:
            return sum(map(len, self.tries)) + self.blank
        return len(self.given) * max(len(request.read) for request in self.given)


def packed(requests: Sequence[Request], budget: int) -> list[Batch]:
    """Return rows of tries, each of up to ``budget`` tokens where its first trie is not longer.

    First fit, longest first.
    """
    size = max(UNIT, budget // UNIT * UNIT)
    found = sorted(tries(requests, size), key=lambda trie: (-len(trie), trie.asked[0].request))
    rows: list[list[Trie]] = []
    rooms: list[tuple[int, int]] = []
    """Tokens that still fit and the row's number, of rows that something still fits into."""
    smallest = len(found[-1]) if found else 0
    for trie in found:
        at = next((at for at, (room, _) in enumerate(rooms) if room >= len(trie)), None)
        if at is None:
            rooms.append((size - len(trie), len(rows)))
            rows.append([trie])
            at = len(rooms) - 1
        else:
            room, row = rooms[at]
            rows[row].append(trie)
            rooms[at] = (room - len(trie), row)
        if rooms[at][0] < smallest:
            del rooms[at]
    return [_row(row, requests) for row in rows]


def _row(row: Sequence[Trie], requests: Sequence[Request]) -> Batch:
    indices = tuple(asked.request for trie in row for asked in trie.asked)
    given = tuple(requests[index] for index in indices)
    tokens = sum(map(len, row))
    return Batch(indices, given, tuple(row), -tokens % UNIT if tokens else UNIT)


def batches(requests: Sequence[Request], budget: int) -> list[list[int]]:
    """Return indices of requests, longest first, cut so that rows x length stays in ``budget``."""
    order = sorted(range(len(requests)), key=lambda index: (-len(requests[index]), index))
    found: list[list[int]] = []
    for index in order:
        longest = len(requests[found[-1][0]]) if found else 0
        if found and (len(found[-1]) + 1) * longest <= budget:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def padded(requests: Sequence[Request], budget: int) -> list[Batch]:
    """Return the same as ``packed`` with a row for each request, padded on the right."""
    return [
        Batch(tuple(batch), tuple(requests[index] for index in batch))
        for batch in batches(requests, budget)
    ]
