"""Several endpoints and keys side by side, and the limits of each, over a real connection."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from bactrian.providers.http import Client
from bactrian.providers.secrets import Key

T = TypeVar("T")


@asynccontextmanager
async def serving(
    status: int = 200, seconds: float = 0.0
) -> AsyncIterator[tuple[str, list[float]]]:
    """Serve the same short reply to all; yield the address, and when each request came."""
    times: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"{}"):
                times.append(time.monotonic())
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n\r\n{}" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", times
    finally:
        server.close()


@asynccontextmanager
async def client(*endpoints: str, **settings: Any) -> AsyncIterator[Client]:
    opened = Client(endpoints, [Key("TEST_KEY", "secret")], lambda key: {}, **settings)
    try:
        yield opened
    finally:
        await opened.close()


def ran(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(asyncio.wait_for(test(), 30))


async def unused_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


# -- several endpoints and keys -----------------------------------------------------------


def test_endpoints_and_keys_share_the_work() -> None:
    async def test() -> Counter[str]:
        async with serving(seconds=0.02) as (one, _), serving(seconds=0.02) as (two, _):
            keys = [Key("A", "secret-a"), Key("B", "secret-b")]
            http = Client([one, two], keys, lambda key: {"x-key": key.secret})
            replies = await asyncio.gather(*(http.post("/x", b"{}") for _ in range(40)))
            await http.close()
            return Counter(f"{one.lane.base == two} {one.lane.key}" for one in replies)

    assert sorted(ran(test).values()) == [10] * 4


@pytest.mark.parametrize("how", ["refused", "502"])
def test_an_endpoint_that_is_down_does_not_draw_all_requests(how: str) -> None:
    async def test() -> Counter[int]:
        async with (
            serving(seconds=0.002) as (up, _),
            serving(502) as (bad, _),
        ):
            down = bad if how == "502" else f"http://127.0.0.1:{await unused_port()}"
            async with client(down, up) as http:

                async def work() -> list[int]:
                    return [(await http.post("/x", b"{}")).status for _ in range(50)]

                found = await asyncio.gather(*(work() for _ in range(4)))
                return Counter(itertools.chain.from_iterable(found))

    found = ran(test)
    assert found.total() == 200
    assert found[200] > 190, "a dead endpoint is never busy, and was preferred for that"


def test_endpoints_that_are_all_down_are_still_tried() -> None:
    async def test() -> set[str]:
        bases = [f"http://127.0.0.1:{await unused_port()}" for _ in range(2)]
        async with client(*bases) as http:
            replies = [await http.post("/x", b"{}") for _ in range(20)]
            assert all(reply.status == 0 for reply in replies)
            return {reply.lane.base for reply in replies}

    assert ran(test)


# -- limits -------------------------------------------------------------------------------


def test_a_told_limit_is_kept_over_the_wire() -> None:
    async def test() -> list[float]:
        async with serving() as (base, times), client(base, a_minute=(3000, 0)) as http:
            await asyncio.gather(*(http.post("/x", b"{}") for _ in range(40)))
            return times

    times = ran(test)
    # 50 a second: the fortieth not before 0.78 s, less what may be caught up on
    assert 0.7 <= times[-1] - times[0] < 2


def test_what_is_given_back_serves_those_that_wait() -> None:
    async def test() -> float:
        async def ask(http: Client) -> None:
            reply = await http.post("/x", b"{}", 5000)
            reply.lane.units.give_back(4990)

        limit = (0, 60_000)
        async with (
            serving() as (base, _),
            client(base, a_minute=limit) as http,
        ):
            begun = time.monotonic()
            await asyncio.gather(*(ask(http) for _ in range(20)))
            return time.monotonic() - begun

    # 5,000 of 1,000 a second are reserved each time, and 10 are used: not 100 seconds
    assert ran(test) < 5


def test_what_waits_for_its_turn_is_not_sent_once_stopped() -> None:
    async def test() -> None:
        async with serving() as (base, times), client(base, a_minute=(60, 0)) as http:
            begun = time.monotonic()
            tasks = [asyncio.create_task(http.post("/x", b"{}")) for _ in range(20)]
            await asyncio.sleep(0.2)
            http.stop()
            replies = await asyncio.gather(*tasks)
            assert time.monotonic() - begun < 1
        assert len(times) == 1
        unsent = [reply for reply in replies if reply.status == 0]
        assert len(unsent) == 19
        assert all(reply.problem == "not sent any more" and not reply.sent for reply in unsent)

    ran(test)
