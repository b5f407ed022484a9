"""One attempt over HTTP: the least busy endpoint and key, paced, and what its reply means.

Knows how providers refuse; knows nothing of what is asked or of asking again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bactrian import __version__
from bactrian.errors import ProviderError
from bactrian.providers import Again, NoAnswer
from bactrian.providers.limits import Pace, Speed, limits_of
from bactrian.providers.secrets import Key

if TYPE_CHECKING:
    import aiohttp

Headers = Callable[[Key], Mapping[str, str]]
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "credit balance is too low")
LEARN_SECONDS, TRUST = 1.0, 5
TURN_SECONDS = 0.05
"""How late what was given back of a limit, or the end, may be noticed."""
LONGEST_WAIT = 86_400.0
"""A Retry-After of a day or more is no answer to when."""
DOWN_AFTER, DOWN_SECONDS = 3, 5.0
"""Calls in a row that fail before the other endpoints are preferred, and for how long."""


class Lane:
    """One endpoint with one key: its pace, and what is on its way."""

    def __init__(self, base: str, key: Key, headers: Mapping[str, str]) -> None:
        self.base = base.rstrip("/")
        self.key = key
        self.headers = headers
        self.in_flight = self.trust = 0
        self.requests = Pace()
        self.units = Pace()
        self.speed = Speed()
        self.urls: dict[str, Any] = {}
        self.learnt = self.down_until = -math.inf
        self.failed = 0
        self.open()

    def open(self) -> None:
        """Begin anew, in another loop."""
        self.stopped, self._queue = False, asyncio.Lock()

    def wait(self, units: float) -> float:
        """Take a request's share of the limits; return the seconds to wait first."""
        now = time.monotonic()
        self.speed.count(now)
        return max(self.requests.wait(1, now), self.units.wait(units, now) if units else 0.0)

    async def turn(self, units: float) -> bool:
        """Wait until the limits let a request go; False where nothing is to be sent any more.

        One after the other, so that what is given back meanwhile serves whoever is next.
        """
        if not self._queue.locked() and self._delay(units) <= 0:
            return not self.stopped
        async with self._queue:
            while not self.stopped:
                if (delay := self._delay(units)) <= 0:
                    return True
                await asyncio.sleep(min(delay, TURN_SECONDS))
        return False

    def _delay(self, units: float) -> float:
        """Return the seconds to wait, and take a request's share where there are none."""
        now = time.monotonic()
        delay = max(self.requests.delay(now), self.units.delay(now))
        if delay <= 0:
            self.speed.count(now)
            self.requests.take(1, now)
            self.units.take(units, now)
        return delay

    def refused(self) -> None:
        """Slow down, where refusals show a limit."""
        now = time.monotonic()
        if (seen := self.speed.refuse(now)) is not None:
            self.requests.cut(*seen, now)

    def note(self, status: int) -> None:
        """Take note of how a call went, for the choice among several endpoints."""
        self.failed = self.failed + 1 if status == 0 or status >= 500 else 0
        if self.failed >= DOWN_AFTER:
            self.down_until = time.monotonic() + DOWN_SECONDS


class Reply(NamedTuple):
    """What came back from one attempt; status 0 is a connection that failed."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    lane: Lane
    problem: str = ""
    sent: bool = True
    """Whether the request may have reached the server."""


class Client:
    """Posts to one of several endpoints with one of several keys."""

    def __init__(
        self,
        endpoints: Sequence[str],
        keys: Sequence[Key],
        headers: Headers,
        *,
        a_minute: tuple[float, float] = (0, 0),
        timeout: float = 300.0,
    ) -> None:
        self.lanes = [Lane(base, key, headers(key)) for base in endpoints for key in keys]
        for lane in self.lanes:
            lane.requests, lane.units = Pace(a_minute[0]), Pace(a_minute[1])
        self.timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        # one clock for all: a timer a request would cost a twentieth of the CPU
        self._begun: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._clock: asyncio.Task[None] | None = None
        self._failures: tuple[type[Exception], ...] = ()
        self._unsent: tuple[type[Exception], ...] = ()

    async def post(self, path: str, body: bytes, units: float = 0.0) -> Reply:
        """Send once, when the pace allows; ``units`` are the tokens (or characters) it may take."""
        if self._session is None:
            self._open()
        lane = self.lanes[0] if len(self.lanes) == 1 else self._least_busy()
        lane.in_flight += 1
        try:
            if not await lane.turn(units):
                return Reply(0, {}, b"", lane, "not sent any more", sent=False)
            reply = await self.request("POST", lane, path, body)
            lane.note(reply.status)
            return reply
        finally:
            lane.in_flight -= 1

    def stop(self) -> None:
        """Send nothing more: what waits for its turn comes back unsent."""
        for lane in self.lanes:
            lane.stopped = True

    def _least_busy(self) -> Lane:
        # an endpoint that is down fails at once, and so is never busy
        now = time.monotonic()
        return min(self.lanes, key=lambda lane: (lane.down_until > now, lane.in_flight))

    async def request(self, method: str, lane: Lane, path: str, body: Any = None) -> Reply:
        """Send once to one lane, now."""
        session = self._session or self._open()
        url = lane.urls.get(path)
        if url is None:
            url = lane.urls[path] = _url(lane.base + path)
        task = asyncio.current_task()
        assert task is not None
        self._begun[task] = time.monotonic()
        try:
            # no ``async with``: ``read`` gives the connection back, or closes it where it fails
            response = await session.request(
                method, url, data=body, headers=lane.headers, allow_redirects=False
            )
            data = await response.read()
            if response.status != 200:
                data = lane.key.hidden_in(data)
            return Reply(response.status, response.headers, data, lane)
        except self._failures as error:
            sent = not isinstance(error, self._unsent)
            return Reply(0, {}, b"", lane, _said(error), sent)
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel():
                raise
            return Reply(0, {}, b"", lane, "no reply in time")
        finally:
            self._begun.pop(task, None)
            self._late.discard(task)

    async def _watch(self) -> None:
        """Give up on requests that have waited too long; the oldest come first."""
        while True:
            await asyncio.sleep(min(1.0, self.timeout / 4))
            before = time.monotonic() - self.timeout
            for task, begun in list(self._begun.items()):
                if begun > before:
                    break
                if task not in self._late:
                    self._late.add(task)
                    task.cancel()

    async def close(self) -> None:
        """Close the connections."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp
        from multidict import CIMultiDict

        self._failures = (aiohttp.ClientError, TimeoutError, OSError)
        self._unsent = (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.InvalidURL,
        )
        for lane in self.lanes:  # made whole once, not for every request
            agent = {"user-agent": f"bactrian/{__version__}"}
            lane.headers = CIMultiDict({**agent, **lane.headers})
            lane.open()
        self._clock = asyncio.create_task(self._watch())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(30.0, self.timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=_proxied(),
        )
        return self._session


def refusal(reply: Reply, who: str) -> Again | NoAnswer | None:
    """Return what a reply other than 200 means for its request; None for a 200.

    Raises ProviderError where no request can succeed: wrong key (401, or ``TRUST`` 403s in a row),
    no credit, unknown model. Retry-After is this request's; its lane's rate is cut besides.
    """
    if reply.status == 200:
        reply.lane.trust = TRUST
        _learn(reply)
        return None
    if reply.status == 0:
        return Again("network", reply.problem)
    said = said_in(reply.data)
    detail = f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"
    if reply.status == 402 or any(word in said.lower() for word in NO_CREDIT):
        raise ProviderError(
            f"{who} has no credit left for {reply.lane.key}: {said or reply.status}",
            "add credit or name another key; what was paid for is in the ledger",
        )
    if reply.status == 429:
        _learn(reply)
        reply.lane.refused()
        return Again("limit", detail, retry_after(reply.headers))
    if reply.status in (408, 409, 425) or reply.status >= 500:
        return Again("server", detail, retry_after(reply.headers))
    _end_if_hopeless(reply, who, said)
    return NoAnswer(detail)


def _end_if_hopeless(reply: Reply, who: str, said: str) -> None:
    reply.lane.trust -= reply.status == 403
    if reply.status == 401 or (reply.status == 403 and reply.lane.trust < 0):
        raise ProviderError(
            f"{who} refuses the key {reply.lane.key}: {said or f'HTTP {reply.status}'}",
            "check the key and what it may do; what was paid for is in the ledger",
        )
    if reply.status in (404, 405) or 300 <= reply.status < 400:
        raise ProviderError(
            f"{who} knows no such model or address: {said or f'HTTP {reply.status}'}",
            f"check model = and endpoints = in the recipe (asked {reply.lane.base})",
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``retry-after-ms`` or ``Retry-After`` tells to wait (RFC 9110)."""
    try:
        if told := headers.get("retry-after-ms"):
            wait = float(told) / 1000
        elif not (told := headers.get("retry-after", "").strip()):
            return None
        elif told.replace(".", "", 1).isdigit():
            wait = float(told)
        else:  # by the server's own clock, where it tells it: ours may be wrong
            wait = _unix(told) - (_unix(headers["date"]) if "date" in headers else time.time())
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait) if wait < LONGEST_WAIT else None


def _unix(date: str) -> float:
    told = parsedate_to_datetime(date)
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()


def said_in(data: bytes) -> str:
    """Return what an error's body says, in one line of at most 300 characters."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        told = data.decode("utf-8", "replace")
    while isinstance(told, dict | list):
        if isinstance(told, list):
            told = told[0] if told else ""
            continue
        inner = told.get("error") or told.get("message") or told.get("detail") or ""
        code = told.get("code")
        if isinstance(inner, str) and isinstance(code, str) and code not in inner:
            inner = f"{inner} ({code})"
        told = inner
    return one_line(str(told))


def one_line(text: str) -> str:
    """Return what can be shown anywhere: one line, nothing that steers a terminal."""
    line = " ".join(text.split())
    return "".join(letter for letter in line if letter.isprintable())[:300]


def _learn(reply: Reply) -> None:
    lane, now = reply.lane, time.monotonic()
    if now - lane.learnt < LEARN_SECONDS:
        return
    lane.learnt = now
    for pace, limit in zip((lane.requests, lane.units), limits_of(reply.headers), strict=True):
        if limit:
            pace.learn(limit)


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no reply in time"
    said = one_line(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _url(text: str) -> Any:
    from yarl import URL

    return URL(text)


def _proxied() -> bool:
    from urllib.request import getproxies

    return bool(getproxies())
