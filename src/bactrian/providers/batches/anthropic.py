"""Anthropic's Message Batches: all requests in one body, results as lines.

Reference: platform.claude.com/docs, api/messages/batches, as of November 2026. A batch carries no
name of ours. One that may have been made is told by what came after the batch that was the newest
before it, by the number of its requests and, once it has ended, by the keys in its results.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any

import orjson

from bactrian.ledger.batches import Batch
from bactrian.providers import Again, NoAnswer, Outcome, Request
from bactrian.providers.anthropic import AnthropicChat, read
from bactrian.providers.batches import A_DAY, CANCELLED, Found, Framing, Look, Size
from bactrian.providers.batches.wire import reopened, size_of, wire_of
from bactrian.providers.http import Reply, refusal

BATCHES = "/messages/batches"
A_PAGE = 100
NONE = "none"
"""Mark of a batch before which there was none."""
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status of an error that comes as a result; any other is 500."""


class AnthropicBatches:
    """Batches of messages."""

    most = Size(100_000, 256_000_000)
    framing = Framing(b'{"requests":[', b",", b"]}")

    def __init__(self, provider: AnthropicChat) -> None:
        self.name = provider.name
        self.price = provider.price
        self.wire = wire_of(provider)

    def line(self, key: str, request: str) -> bytes:
        """Return one element of the requests; the key is the custom_id."""
        return f'{{"custom_id":"{key}","params":{request}}}'.encode()

    async def prepare(self, name: str, file: IO[bytes]) -> str:
        """Return the newest batch there is: ours will stand before it in the list."""
        told = await self.wire.ask("GET", f"{BATCHES}?limit=1") or {}
        return str(told["data"][0]["id"]) if told.get("data") else NONE

    async def create(self, batch: Batch, file: IO[bytes]) -> str | Again:
        """Make the batch."""
        return await self.wire.make(BATCHES, reopened(file), size_of(file))

    async def find(self, batch: Batch, known: Container[str], ours: Callable[[str], bool]) -> Found:
        """Look among the batches made since; as long as one that may be ours runs, nobody knows."""
        sure = True
        async for told in self._listed():
            if told["id"] == batch.mark or _unix(told.get("created_at")) < batch.time - A_DAY:
                break
            if told["id"] in known or sum(_counts(told).values()) != batch.requests:
                continue
            if told.get("processing_status") != "ended":
                sure = False
            elif await self._is_ours(str(told["id"]), ours):
                return Found(str(told["id"]))
        return Found(sure=sure)

    async def give_up(self, batch: Batch) -> None:
        """Nothing can be taken back."""

    async def look(self, batch: Batch) -> Look:
        """Ask how a batch does."""
        told = await self.wire.ask("GET", f"{BATCHES}/{batch.remote}")
        if told is None:
            return Look("gone", "unknown")
        how = str(told.get("processing_status"))
        counts = _counts(told)
        # by the id and not by results_url: the key goes to no other host
        results = (f"{BATCHES}/{batch.remote}/results",)
        ended = how == "ended"
        return Look(
            "ended" if ended else "running",
            _how(counts) if ended else how,
            counts.get("succeeded", 0),
            counts.get("errored", 0),
            sum(counts.values()),
            _unix(told.get("ended_at")),
            results if ended else (),
        )

    async def fetch(self, path: str, file: IO[bytes]) -> bool:
        """Write results into a file."""
        return await self.wire.download(path, file)

    def outcome(self, told: dict[str, Any], request: Request) -> Outcome:
        """Return what a line of the results says."""
        result = told.get("result") or {}
        kind = result.get("type")
        if kind == "succeeded":
            reply = Reply(200, {}, orjson.dumps(result.get("message")), self.wire.lane)
            return read(reply, self.price, request)
        if kind == "canceled":
            return NoAnswer(CANCELLED)
        if kind != "errored":
            return Again("server", str(kind or "no result"))
        error = result.get("error") or {}
        error = error.get("error") or error
        status = STATUS.get(str(error.get("type")), 500)
        reply = Reply(status, {}, orjson.dumps({"error": error}), self.wire.lane)
        refused = refusal(reply, self.name)
        assert refused is not None
        return refused

    async def close(self) -> None:
        """Close the connections."""
        await self.wire.close()

    async def _is_ours(self, remote: str, ours: Callable[[str], bool]) -> bool:
        with TemporaryFile() as file:
            if not await self.fetch(f"{BATCHES}/{remote}/results", file):
                return False
            for line in file:
                return ours(str(orjson.loads(line).get("custom_id")))
        return False

    async def _listed(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the batches of the workspace, newest first."""
        after = ""
        while True:
            told = await self.wire.ask("GET", f"{BATCHES}?limit={A_PAGE}{after}") or {}
            found = told.get("data") or []
            for one in found:
                yield one
            if not (told.get("has_more") and found):
                return
            after = f"&after_id={found[-1]['id']}"


def _counts(told: dict[str, Any]) -> dict[str, int]:
    return {name: int(count or 0) for name, count in (told.get("request_counts") or {}).items()}


def _how(counts: dict[str, int]) -> str:
    """Return how a batch ended in one word, the worst of what happened to its requests."""
    for word, name in (("cancelled", "canceled"), ("expired", "expired")):
        if counts.get(name):
            return word
    return "completed"


def _unix(told: str | None) -> float:
    """Return the Unix time of an RFC 3339 date; 0 where nothing is told."""
    return datetime.fromisoformat(told).timestamp() if told else 0.0
