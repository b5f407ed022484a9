"""A server that is asked many things at once, over HTTP. Knows nothing of what is asked.

What the network or a busy server loses is asked again; what the server refuses ends the run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson

from bactrian.errors import ConfigError, DataError, ProviderError
from bactrian.providers import Again, NoAnswer
from bactrian.providers.chat import bearer
from bactrian.providers.http import Client, Reply, refusal, said_in
from bactrian.providers.retries import CAPS, backoff
from bactrian.providers.secrets import keys

KEY = "OPENAI_API_KEY"
SECONDS = 600.0
"""A request is given up and asked again after this long."""

Answered = TypeVar("Answered")


class Said(NamedTuple):
    """One reply, whatever it was."""

    status: int
    """HTTP status; 0 is a connection that failed."""
    body: Any
    """The JSON of a 200, else nothing."""
    problem: str = ""


class Server:
    """An address and its connections; ``close`` ends them."""

    def __init__(self, address: str, concurrency: int, key: str = "", tries: int = 6) -> None:
        """Take the address with its ``/v1``; ``key`` names an environment variable.

        Raises ConfigError for what is no address, ProviderError for a key that is not set.
        """
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"{address} is no address of a server", "write http://HOST:PORT/v1")
        self.address = address.rstrip("/")
        self.root = self.address.removesuffix("/v1")
        self.concurrency = concurrency
        self._tries = tries
        told = keys((key,) if key else (), KEY, needed=bool(key))
        self._client = Client((self.root,), told, bearer, timeout=SECONDS)
        self._runner = asyncio.Runner()

    def look(self, method: str, path: str, body: Any = None) -> Said:
        """Ask once and say what came: for finding out what a server offers.

        Raises ConfigError where nobody listens, ProviderError for a key that is refused.
        """
        lane = self._client.lanes[0]
        data = None if body is None else orjson.dumps(body)
        reply = self._run(lambda: self._client.request(method, lane, path, data))
        if reply.status == 0:
            raise ConfigError(
                f"{self.address} cannot be reached: {reply.problem}",
                "start the server, or mend --backend",
            )
        if reply.status in (429, 502, 503):
            raise ConfigError(
                f"{self.address} is not ready: HTTP {reply.status}: {said_in(reply.data)}",
                "wait until it has loaded its model, and run the same command again",
            )
        if reply.status in (401, 402):
            refusal(reply, self.address)
        problem = said_in(reply.data) if reply.status != 200 else ""
        return Said(reply.status, _json(reply), f"HTTP {reply.status}: {problem}")

    def each(self, path: str, bodies: Sequence[Any]) -> list[Any]:
        """Return the JSON that answers each body, in their order.

        Raises ProviderError where the server cannot go on, ConfigError for an unknown model or
        path, DataError for a body that it refuses.
        """
        return self._run(lambda: self._each(path, bodies))

    def close(self) -> None:
        """End the connections."""
        self._run(self._client.close)
        self._runner.close()

    def _run(self, make: Callable[[], Coroutine[Any, Any, Answered]]) -> Answered:
        return self._runner.run(make())

    async def _each(self, path: str, bodies: Sequence[Any]) -> list[Any]:
        gate = asyncio.Semaphore(self.concurrency)

        async def one(body: Any) -> Any:
            async with gate:
                return await self._ask(path, orjson.dumps(body))

        asked = [asyncio.ensure_future(one(body)) for body in bodies]
        try:
            return list(await asyncio.gather(*asked))
        except BaseException:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            raise

    async def _ask(self, path: str, body: bytes) -> Any:
        for tries in range(CAPS["limit"]):
            reply = await self._client.post(path, body)
            if reply.status == 404:
                raise ConfigError(
                    f"{self.address} knows no such model, or nothing at {path}: "
                    f"{said_in(reply.data) or 'HTTP 404'}",
                    f"name the model as {self.address}/models does: --model NAME; "
                    'of conversations alone: train.prompt = "chat"',
                )
            outcome = refusal(reply, self.address)
            if isinstance(outcome, NoAnswer):
                raise DataError(
                    f"{self.address} refuses a text: {outcome.why}",
                    "see the server's log; a context longer than its limit is the usual reason",
                )
            if outcome is None and (found := _json(reply)) is not None:
                return found
            again = outcome or Again("malformed", "no JSON")
            if again.why != "limit" and tries + 1 >= self._tries:
                break
            wait = backoff(tries, random.random()) if again.after is None else again.after
            await asyncio.sleep(wait)
        raise ProviderError(
            f"{self.address} gave no answer after {tries + 1} tries: {again.detail}",
            "see to the server and run the same command again; committed scores are kept",
        )


def _json(reply: Reply) -> Any:
    if reply.status != 200:
        return None
    try:
        return orjson.loads(reply.data)
    except orjson.JSONDecodeError:
        return None
