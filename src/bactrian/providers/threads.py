"""Calls a client that blocks from the event loop: a thread for each call in flight.

Each thread has a client of its own, as the official ones do not promise to be shared. Pace and the
choice of endpoint and key are those of ``http``. Knows no service.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Generic, Protocol, TypeVar

from bactrian.providers.http import Lane
from bactrian.providers.limits import Pace


class Closes(Protocol):
    """A client that can be closed."""

    def close(self) -> None:
        """Close its connections."""


Client = TypeVar("Client", bound=Closes)
Told = TypeVar("Told")


class Threads(Generic[Client]):
    """A pool of threads with their clients; closed, it opens again with the next call."""

    def __init__(
        self,
        make: Callable[[Lane], Client],
        lanes: Sequence[Lane],
        threads: int,
        a_minute: tuple[float, float] = (0, 0),
    ) -> None:
        self.lanes = lanes
        for lane in lanes:
            lane.requests, lane.units = Pace(a_minute[0]), Pace(a_minute[1])
        self._make = make
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._own = threading.local()
        self._clients: list[Client] = []

    async def call(self, do: Callable[[Client, Lane], Told], units: float = 0.0) -> Told:
        """Do something with a client in a thread, when the pace of its lane allows."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "provider")
        lane = min(self.lanes, key=lambda lane: lane.in_flight)
        lane.in_flight += 1
        try:
            if (delay := lane.wait(units)) > 0:
                await asyncio.sleep(delay)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._do, do, lane)
        finally:
            lane.in_flight -= 1

    def _do(self, do: Callable[[Client, Lane], Told], lane: Lane) -> Told:
        clients: dict[Lane, Client] = self._own.__dict__.setdefault("clients", {})
        if lane not in clients:
            clients[lane] = self._make(lane)
            self._clients.append(clients[lane])
        return do(clients[lane], lane)

    async def close(self) -> None:
        """Close the clients and let the threads go."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        for client in self._clients:
            client.close()
        self._clients, self._own = [], threading.local()


def installed(module: str) -> bool:
    """Whether an official client is there; it is not imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False
