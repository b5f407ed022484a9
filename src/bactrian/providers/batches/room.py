"""How much may wait at a provider at once: told, else learnt from what it refuses.

Knows tokens as they are estimated; a limit that is too low by it grows again, one that is too high
is refused, which costs nothing.
"""

from __future__ import annotations

import math
import re

from bactrian.errors import ProviderError
from bactrian.providers.retries import CAPS

TOKEN_LIMIT = "token_limit_exceeded"
"""OpenAI's code for a batch that does not fit into the queue."""
NAMED = re.compile(r"Limit:\s*([\d,._]+)\s*enqueued", re.IGNORECASE)
GROWS = 1.5


class Room:
    """The queue at one provider, over all batches of a run."""

    def __init__(self, told: float = 0.0) -> None:
        self.most = told or math.inf
        self.limit = self.most
        self.taken = 0.0
        """Estimated prompt tokens of the batches that are out."""
        self.unchecked: set[str] = set()
        """Batches that the provider may still refuse."""
        self.window = 1
        """How many may be unchecked at once: doubles with each that is taken."""
        self.refusals = 0
        """In a row."""

    @property
    def open(self) -> bool:
        """Whether one more batch may be sent now."""
        return len(self.unchecked) < self.window and (self.free > 0 or not self.taken)

    @property
    def free(self) -> float:
        """Estimated tokens that may be sent now."""
        return self.limit - self.taken

    def enter(self, name: str, tokens: float) -> None:
        """Take note of a batch that is out."""
        self.taken += tokens
        self.unchecked.add(name)

    def checked(self, name: str) -> None:
        """The provider works on a batch: there is room for as much, and perhaps for more."""
        if name in self.unchecked:
            self.unchecked.discard(name)
            self.window *= 2
            self.refusals = 0
            self.limit = min(self.most, self.limit * GROWS)

    def leave(self, name: str, tokens: float) -> None:
        """Take note of a batch that is out no more."""
        self.taken = max(0.0, self.taken - tokens)
        self.unchecked.discard(name)

    def refused(self, who: str, tokens: float, said: str) -> None:
        """Make room smaller after a refusal of a batch that has left.

        Raises ProviderError when even the smallest batch has been refused for long.
        """
        self.refusals += 1
        if self.refusals > CAPS["limit"]:
            raise ProviderError(
                f"{who} takes no batch: {said}",
                "something else fills the queue: run the same command again later",
                retryable=True,
            )
        self.window = 1
        if (named := NAMED.search(said)) is not None:
            self.most = min(self.most, float(re.sub(r"\D", "", named[1]) or "inf"))
        too_much = self.taken + tokens
        # beyond the limit that is named, that limit; within it, others wait there, too, or the
        # estimate is too low
        self.limit = self.most if too_much > self.most else self.taken + tokens / 2
