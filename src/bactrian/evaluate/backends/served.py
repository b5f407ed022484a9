"""A served model in the place of a loaded one: plans requests and scores them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from bactrian.errors import BactrianError
from bactrian.evaluate.backends.echo import Counted
from bactrian.evaluate.backends.wire import Server
from bactrian.models.scoring import Batch, Likelihood, Request

WAVES = 8
"""Texts of a batch for each that is on its way: what a kill loses, and how often one is waited
for at the end of a batch."""


class Way(Protocol):
    """How a server is asked for a log-likelihood, and what its reply means."""

    def bodies(self, request: Request) -> list[dict[str, Any]]:
        """Return what asks for one request, in one body or in several."""

    def further(
        self, request: Request, place: int, reply: Any, tries: int
    ) -> dict[str, Any] | None:
        """Return what asks in place of body ``place`` where the reply does not tell all."""

    def read(self, replies: Sequence[Any], request: Request) -> Likelihood:
        """Return what the replies to them say."""


class NoWay:
    """A server that writes and gives no log-likelihoods: says so once they are asked for."""

    def __init__(self, why: BactrianError) -> None:
        self.why = why

    def bodies(self, request: Request) -> list[dict[str, Any]]:
        """Raise what was found when the server was opened."""
        raise self.why

    def further(
        self, request: Request, place: int, reply: Any, tries: int
    ) -> dict[str, Any] | None:
        """Raise the same."""
        raise self.why

    def read(self, replies: Sequence[Any], request: Request) -> Likelihood:
        """Raise the same."""
        raise self.why


class ServedScorer:
    """Scores requests by a server, as ``models.scoring.Scorer`` does by a model here."""

    def __init__(self, server: Server, path: str, way: Way) -> None:
        self.server = server
        self.path = path
        self.way = way
        self.spanned = 0
        """Tokens that spanned a join, so far; only where texts are cut by what replies say."""

    def plan(self, requests: Sequence[Request], budget: int) -> list[Batch]:
        """Return batches in the order given: requests that begin alike stay side by side."""
        size = WAVES * self.server.concurrency
        return [
            Batch(tuple(range(start, start + len(part))), tuple(part))
            for start in range(0, len(requests), size)
            if (part := requests[start : start + size])
        ]

    def score(self, batch: Batch) -> list[Likelihood]:
        """Return what the server says of ``batch.requests``, in their order."""
        found = list(map(self.way.read, self._replies(batch.given), batch.given))
        self.spanned += sum(isinstance(one, Counted) and one.spanned for one in found)
        return found

    def _replies(self, requests: Sequence[Request]) -> list[list[Any]]:
        """Return the replies of each request, asked further until they tell all."""
        bodies = {
            (index, place): body
            for index, request in enumerate(requests)
            for place, body in enumerate(self.way.bodies(request))
        }
        found: dict[tuple[int, int], Any] = {}
        tries = 0
        while bodies:
            tries += 1
            replies = self.server.each(self.path, list(bodies.values()))
            now = dict(zip(bodies, replies, strict=True))
            found.update(now)
            bodies = {
                at: body
                for at, reply in now.items()
                if (body := self.way.further(requests[at[0]], at[1], reply, tries)) is not None
            }
        whole: list[list[Any]] = [[] for _ in requests]
        for index, place in sorted(found):
            whole[index].append(found[index, place])
        return whole

    def at_work(self) -> AbstractContextManager[None]:
        """Need nothing."""
        return nullcontext()


class Served:
    """What is asked of a model that is at a server: its name there and the longest text."""

    def __init__(self, server: Server, model: str, longest: int) -> None:
        """Take its name at the server and the longest text in tokens, 0 where unknown."""
        self.server = server
        self.name = model
        self.max_position_embeddings = longest

    @property
    def config(self) -> Served:
        """Itself: its one setting is the longest text."""
        return self

    def get_text_config(self) -> Served:
        """Return itself."""
        return self

    def set_adapter(self, name: str) -> None:
        """Need nothing: a served model is one model, whatever it is called."""


def prepare(tokenizer: Any, pairs: Iterable[tuple[str, str]], join: str) -> None:
    """Have a server's tokenizer asked for many texts at once; nothing for one that is here."""
    if (ahead := getattr(tokenizer, "prepare", None)) is not None:
        ahead(pairs, join == "together")
