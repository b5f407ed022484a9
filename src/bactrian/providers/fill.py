"""Asks a provider for what a ledger lacks. Resume, cache and growing data are this one loop.

Knows keys and answers, not rows or languages. Memory does not grow with the number of requests
but for 16 bytes a key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from bactrian.errors import ProviderError
from bactrian.events import emit
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Answer, NoAnswer, Request

PROGRESS_SECONDS = 0.2


class Sender(Protocol):
    """The part of a provider that this loop needs."""

    name: str
    batch: int

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
        """Ask."""


@dataclass(frozen=True, slots=True)
class Need:
    """What rows need, before anything is sent."""

    rows: int
    unique: int
    """Different requests among them: the same text is asked for once."""
    present: int
    """Of the unique ones, already in the ledger."""
    characters: int = 0
    """Code points of text in those that would be sent."""

    @property
    def missing(self) -> int:
        """Requests that would be sent."""
        return self.unique - self.present


@dataclass(frozen=True, slots=True)
class Filled:
    """What was done about it; ``need.missing == answered + failed``."""

    need: Need
    answered: int
    failed: int
    cost_usd: float


def survey(ledger: Ledger | None, requests: Iterable[Request]) -> Need:
    """Count what the requests need and what is there; sends nothing."""
    seen: set[bytes] = set()
    rows = present = characters = 0
    for request in requests:
        rows += 1
        key = key_of(request)
        if (short := bytes.fromhex(key)) in seen:
            continue
        seen.add(short)
        if ledger is not None and ledger.has(key):
            present += 1
        else:
            characters += _characters(request)
    return Need(rows, len(seen), present, characters)


def _characters(request: Request) -> int:
    texts = request.get("texts") or [message["content"] for message in request["messages"]]
    return sum(map(len, texts))


def fill(
    ledger: Ledger,
    requests: Iterable[Request],
    provider: Sender,
    kind: Literal["translation", "response"],
    *,
    concurrency: int,
    task: str,
    total: int | None = None,
) -> Filled:
    """Send every request whose answer the ledger lacks, each once, and keep what comes back.

    Raises ProviderError and LedgerError; what was committed before is safe and not asked again.
    After a ProviderError nothing more is sent, and what is on its way is waited for and kept.
    """
    filling = _Filling(ledger, provider, kind, task, total)
    try:
        asyncio.run(filling.work(iter(requests), concurrency))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several  # the first worker's; the others were cancelled
    finally:
        ledger.flush()
    return filling.result()


class _Filling:
    """The state of one fill: a few workers pulling batches from one iterator."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Sender,
        kind: Literal["translation", "response"],
        task: str,
        total: int | None,
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.kind: Literal["translation", "response"] = kind
        self.task = task
        self.total = total
        self.seen: set[bytes] = set()
        self.rows = self.present = self.characters = self.answered = self.failed = 0
        self.cost_usd = 0.0
        self.told = 0.0
        self.refused: ProviderError | None = None

    async def work(self, requests: Iterator[Request], concurrency: int) -> None:
        wanted = self._missing(requests)
        size = min(self.provider.batch, concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency // size):
                group.create_task(self._pull(wanted, size))
        if self.refused is not None:
            raise self.refused

    async def _pull(self, wanted: Iterator[tuple[str, Request]], size: int) -> None:
        while self.refused is None and (batch := list(islice(wanted, size))):
            try:
                answers = await self.provider.send([request for _, request in batch])
            except ProviderError as error:
                # the other workers are not cancelled: what they have sent is paid for
                self.refused = self.refused or error
                return
            for (key, _), answer in zip(batch, answers, strict=True):
                self._keep(key, answer)
            self._tell()

    def _missing(self, requests: Iterator[Request]) -> Iterator[tuple[str, Request]]:
        for request in requests:
            self.rows += 1
            key = key_of(request)
            if (short := bytes.fromhex(key)) in self.seen:
                continue
            self.seen.add(short)
            if self.ledger.has(key):
                self.present += 1
                continue
            self.characters += _characters(request)
            yield key, request

    def _keep(self, key: str, answer: Answer | NoAnswer) -> None:
        if isinstance(answer, NoAnswer):
            self.failed += 1
            self.ledger.put_failure(key, answer.why, answer.attempts)
            return
        self.answered += 1
        self.cost_usd += answer.cost_usd
        entry = Entry(
            key=key,
            kind=self.kind,
            provider=answer.provider or self.provider.name,
            output=answer.output,
            finish=answer.finish,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            characters=answer.characters,
            cost_usd=answer.cost_usd,
            provider_id=answer.provider_id,
            time=time.time(),
            attempts=answer.attempts,
        )
        self.ledger.put(entry)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self.told >= PROGRESS_SECONDS:
            self.told = now
            emit("progress", task=self.task, done=self.rows, total=self.total)

    def result(self) -> Filled:
        emit("progress", task=self.task, done=self.rows, total=self.rows)
        need = Need(self.rows, len(self.seen), self.present, self.characters)
        return Filled(need, self.answered, self.failed, self.cost_usd)
