"""Batch APIs: many requests in one file, at half the price, within a day.

What a provider's batch API has to be able to do is ``Dialect``; ``fill`` does the rest: it writes
down, sends, waits, takes in and asks again. Nothing here knows rows, languages or files of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple, Protocol

from bactrian.ledger.batches import Batch
from bactrian.providers import Again, Outcome, Request

A_DAY = 86_400.0
"""Seconds; a batch takes no longer, and clocks are not further apart."""
CANCELLED = "the batch was cancelled at the provider"
"""Why there is no answer where a person stopped the batch: it is not sent again by itself."""


@dataclass(frozen=True, slots=True)
class Options:
    """How batches are made and waited for."""

    enqueued_tokens: int = 0
    """Prompt tokens that may wait at the provider at once; 0 learns it from its refusals."""
    requests: int = 0
    """Most requests in one batch; 0 means what the provider takes."""
    interval: float = 60.0
    """Longest wait in seconds between two looks at the batches."""
    settle: float = 60.0
    """Seconds after which a batch that the provider does not list was never made there."""


class Size(NamedTuple):
    """What one batch may hold."""

    requests: int
    bytes: int


class Framing(NamedTuple):
    """What stands before, between and after the lines of a batch."""

    before: bytes
    between: bytes
    after: bytes


class Refused(NamedTuple):
    """Why a provider did not start a batch."""

    code: str
    message: str
    line: int = 0
    """Line of the file that is to blame, from 1; 0 where it is the whole."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a provider says of a batch."""

    state: Literal["checking", "running", "ended", "refused", "gone"]
    how: str
    """The provider's own word: ``in_progress``, ``expired``."""
    completed: int = 0
    failed: int = 0
    total: int = 0
    ended: float = 0.0
    """Unix time of the end; 0 where it is not told."""
    results: tuple[str, ...] = ()
    """Paths to fetch the results from, JSON lines with a ``custom_id``; in any order."""
    refused: tuple[Refused, ...] = ()


class Found(NamedTuple):
    """Whether a batch is at the provider that may have got there, or may not."""

    remote: str = ""
    """Its id; empty where it was not found."""
    sure: bool = True
    """Not found, and not to be found later either."""


class Dialect(Protocol):
    """One provider's batch API."""

    name: str
    """That of the provider."""
    most: Size
    framing: Framing

    def line(self, key: str, request: str) -> bytes:
        """Return one request as it stands in a batch; ``request`` is canonical JSON."""

    async def prepare(self, name: str, file: IO[bytes]) -> str:
        """Do what costs nothing, and return the mark by which the batch will be found."""

    async def create(self, batch: Batch, file: IO[bytes]) -> str | Again:
        """Make the batch, once; return its id.

        Again with ``limit`` is a refusal: nothing was made. Any other leaves it open whether
        something was. Raises ProviderError where nothing was made and nothing will be.
        """

    async def find(self, batch: Batch, known: Container[str], ours: Callable[[str], bool]) -> Found:
        """Look for a batch that may have been made; ``known`` ids are those of other batches.

        ``ours`` tells whether a key is in the batch.
        """

    async def give_up(self, batch: Batch) -> None:
        """See to it that a batch that was not found cannot begin any more."""

    async def look(self, batch: Batch) -> Look:
        """Ask how a batch does."""

    async def fetch(self, path: str, file: IO[bytes]) -> bool:
        """Write results into a file; False where the provider does not keep them any more."""

    def outcome(self, told: dict[str, Any], request: Request) -> Outcome:
        """Return what a line of the results says; reads an answer as a direct reply is read.

        Raises ProviderError for what makes going on senseless (no credit).
        """

    async def close(self) -> None:
        """Close the connections."""
