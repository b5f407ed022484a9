"""From a request to the seed of its answer: the same on every machine, another when asked again.

A sampled answer is then a function of the request and of how many answers to it were not good
enough, and of nothing else: not of its batch, not of the machine that happens to compute it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bactrian.ledger import key_of
from bactrian.providers import Again, Answer, Outcome, Request


class Draws:
    """How many answers each request has had while a ledger is being filled."""

    def __init__(self) -> None:
        self._had: dict[str, int] = {}

    def seeds(self, requests: Sequence[Request]) -> list[int]:
        """Return a seed of 63 bits for each request, of its key and of the answers it has had."""
        return [
            int(key_of(request, self._had.get(key_of(request), 0))[:16], 16) >> 1
            for request in requests
        ]

    def note(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Count the answers; an attempt that was lost on its way made none, so it is the same."""
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Answer) or (isinstance(outcome, Again) and outcome.billed):
                key = key_of(request)
                self._had[key] = self._had.get(key, 0) + 1

    def forget(self) -> None:
        """Begin anew: the asking has ended."""
        self._had.clear()
