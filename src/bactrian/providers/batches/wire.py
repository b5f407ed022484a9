"""One endpoint with one key, for batches: calls that are tried again, and files that stream.

Knows HTTP and its failures; nothing of what a batch is.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.request import getproxies

import orjson

from bactrian import __version__
from bactrian.errors import ProviderError
from bactrian.events import emit
from bactrian.providers import Again, NoAnswer
from bactrian.providers.http import Lane, Reply, refusal
from bactrian.providers.retries import CAPS, backoff

if TYPE_CHECKING:
    import aiohttp

SLOWEST = 100_000
"""Bytes a second below which an upload counts as stuck."""
PIECE = 1 << 18
UNREACHED = 8
"""Failed calls with never an answer before them: the address or the network is wrong."""
SILENT_SECONDS = 3600.0
"""A batch takes hours; a network that is away for less than one ends no run."""


class Wire:
    """The connections to one provider."""

    def __init__(self, who: str, lane: Lane, timeout: float) -> None:
        self.who = who
        self.lane = lane
        self.timeout = timeout
        self._answered = 0.0
        self._chance = random.Random(0)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, path: str) -> Any:
        """Ask for JSON until it comes; None for what is not there.

        Raises ProviderError where going on makes no sense.
        """
        found = await self._until(lambda: self.once(method, path), absent=True)
        return None if found is None else told_in(found)

    async def upload(self, path: str, form: Callable[[], Any], size: int) -> Any:
        """Post a form, made anew for each attempt, until it is taken; return the JSON."""
        own: dict[str, str | None] = {"content-type": None}  # the form's, with its boundary
        reply = await self._until(lambda: self.once("POST", path, form(), size, headers=own))
        assert reply is not None
        return told_in(reply)

    async def make(self, path: str, body: Any, size: int = 0) -> str | Again:
        """Post once what makes a batch; return its id.

        Again with ``limit`` is a refusal: nothing was made. Any other leaves it open. Raises
        ProviderError where nothing was made and nothing will be.
        """
        reply = await self.once("POST", path, body, size)
        meaning = self.meaning(reply)
        if meaning is None:
            try:
                return str(orjson.loads(reply.data)["id"])
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                return Again("malformed", f"a reply that is no batch ({error!r:.80})")
        if isinstance(meaning, NoAnswer):
            raise ProviderError(
                f"{self.who} refuses the batch: {meaning.why}",
                "nothing was made and nothing is lost; see docs/batches.md",
            )
        # what never got there can have made nothing
        return meaning if reply.sent else meaning._replace(why="limit")

    async def download(self, path: str, to: IO[bytes]) -> bool:
        """Write what stands at a path into a file, whole; False where nothing does."""

        async def fetched() -> Reply:
            to.seek(0)
            to.truncate()
            return await self.once("GET", path, to=to)

        found = await self._until(fetched, absent=True)
        to.seek(0)
        return found is not None

    async def once(
        self,
        method: str,
        path: str,
        body: Any = None,
        size: int = 0,
        *,
        headers: Mapping[str, str | None] | None = None,
        to: IO[bytes] | None = None,
    ) -> Reply:
        """Send once; a body of ``size`` bytes may be a file, and the reply may go into one."""
        import aiohttp

        told = {**self.lane.headers, **(headers or {})}
        kept = {name: value for name, value in told.items() if value is not None}
        patience = self.timeout + size / SLOWEST
        limits = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=patience)
        url = self.lane.base + path
        try:
            async with self._open().request(
                method, url, data=body, headers=kept, allow_redirects=False, timeout=limits
            ) as response:
                if to is not None and response.status == 200:
                    async for piece in response.content.iter_chunked(PIECE):
                        to.write(piece)
                    return Reply(200, response.headers, b"", self.lane)
                data = await response.read()
                if response.status // 100 != 2:
                    data = self.lane.key.hidden_in(data)
                return Reply(response.status, response.headers, data, self.lane)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)
            problem = f"{type(error).__name__}: {error}".rstrip(": ")
            return Reply(0, {}, b"", self.lane, problem, not unsent)

    def meaning(self, reply: Reply) -> Again | NoAnswer | None:
        """Return what a reply without success means; None for a success."""
        if reply.status // 100 == 2:
            reply = reply._replace(status=200)
        return refusal(reply, self.who)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _until(
        self, once: Callable[[], Awaitable[Reply]], *, absent: bool = False
    ) -> Reply | None:
        tries = 0
        begun = time.monotonic()
        while True:
            reply = await once()
            if absent and reply.status == 404:
                return None
            meaning = self.meaning(reply)
            if meaning is None:
                self._answered = time.monotonic()
                return reply
            if isinstance(meaning, NoAnswer):
                raise ProviderError(
                    f"{self.who} refuses a call of its batch API: {meaning.why}",
                    "see docs/batches.md; batches that are out stay known",
                )
            tries += 1
            self._give_up(meaning, tries, time.monotonic() - begun)
            wait = backoff(tries, self._chance.random())
            await asyncio.sleep(max(wait, meaning.after or 0.0))

    def _give_up(self, meaning: Again, tries: int, seconds: float) -> None:
        never = not self._answered and meaning.why == "network" and tries >= UNREACHED
        refused = meaning.why == "limit" and tries > CAPS["limit"]
        if never or refused or (seconds > SILENT_SECONDS and tries >= UNREACHED):
            raise ProviderError(
                f"{self.who} cannot be reached: {meaning.detail}",
                "run the same command again when it can: batches that are out stay known",
                retryable=True,
            )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                headers={"user-agent": f"bactrian/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=bool(getproxies()),
            )
        return self._session


def wire_of(provider: Any) -> Wire:
    """Return the wire to a provider's first endpoint, with its first key: batches stay there."""
    lanes = provider.client.lanes
    if len(lanes) > 1:
        emit(
            "decision",
            text=f"batches go to {lanes[0].base} with {lanes[0].key} only: whoever makes a batch "
            "has to collect it",
        )
    return Wire(provider.name, lanes[0], provider.section.timeout)


def told_in(reply: Reply) -> Any:
    """Return the JSON of a reply; raises ProviderError for anything else."""
    try:
        return orjson.loads(reply.data)
    except orjson.JSONDecodeError as error:
        raise ProviderError(
            f"{reply.lane.base} does not speak a batch API: {error}",
            "check endpoints = in the recipe; not every server with the provider's API has batches",
        ) from None


def reopened(file: IO[bytes]) -> IO[bytes]:
    """Return the same file from its start under a handle of its own, which the sender closes."""
    handle = os.fdopen(os.dup(file.fileno()), "rb")
    handle.seek(0)
    return handle


def size_of(file: IO[bytes]) -> int:
    """Return the bytes of an open file."""
    return os.fstat(file.fileno()).st_size
