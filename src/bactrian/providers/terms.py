"""On what terms is asked: how much at once, how often again, for how much, and what is accepted."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bactrian.providers import Answer, Outcome, Reason, Request
from bactrian.providers.budget import Budget, Reserve
from bactrian.providers.retries import CAPS

Accept = Callable[[Request, Answer, Container[Reason]], Reason | None]
"""Says why an answer that has come should be asked for again; None accepts it. The reasons that it
is given are of no interest: nobody would ask again for them."""


class Sender(Protocol):
    """The part of a provider that asking needs."""

    name: str
    batch: int

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one fill."""

    concurrency: int = 64
    """Calls in flight at once."""
    caps: Mapping[Reason, int] = field(default_factory=lambda: CAPS)
    accept: Accept | None = None
    budget: Budget = field(default_factory=Budget)
    reserve: Reserve | None = None
    """What a request may cost at most; None where nothing is billed."""
