"""A blocking client from the loop: many at once, one client a thread, closed at the end."""

from __future__ import annotations

import asyncio
import threading
import time

from bactrian.providers.http import Lane
from bactrian.providers.secrets import Key
from bactrian.providers.threads import Threads, installed


class Client:
    """Counts its kind; it must not be used by two threads."""

    made: list[Client] = []  # noqa: RUF012

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.thread = threading.get_ident()
        self.closed = False
        Client.made.append(self)

    def work(self, lane: Lane) -> str:
        assert threading.get_ident() == self.thread
        assert lane is self.lane
        assert not self.closed
        time.sleep(0.01)
        return lane.base

    def close(self) -> None:
        self.closed = True


def lanes(*bases: str) -> list[Lane]:
    return [Lane(base, Key("k", "s"), {}) for base in bases]


def test_calls_share_threads_and_clients_and_open_again() -> None:
    Client.made.clear()
    threads = Threads(Client, lanes("one", "two"), 4)

    async def scenario() -> list[str]:
        called = await asyncio.gather(
            *(threads.call(lambda client, lane: client.work(lane)) for _ in range(40))
        )
        await threads.close()
        return called

    for _ in range(2):
        began = time.monotonic()
        called = asyncio.run(scenario())
        assert time.monotonic() - began < 0.4, "one after another"
        assert called.count("one") == called.count("two") == 20
    assert len(Client.made) <= 16
    assert all(client.closed for client in Client.made)


def test_the_pace_of_a_lane_holds() -> None:
    threads = Threads(Client, lanes("one"), 8, (1200, 0))

    async def scenario() -> float:
        began = time.monotonic()
        await asyncio.gather(*(threads.call(lambda client, lane: None) for _ in range(11)))
        await threads.close()
        return time.monotonic() - began

    assert 0.4 < asyncio.run(scenario()) < 2


def test_what_is_installed() -> None:
    assert installed("json.decoder")
    assert not installed("no_such_package")
    assert not installed("no_such_package.inside")
