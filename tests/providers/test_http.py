"""One attempt over HTTP, against a server that says whatever a test wants, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson
import pytest

from bactrian.errors import ProviderError
from bactrian.providers import Again
from bactrian.providers.http import Client, Reply, refusal, retry_after
from bactrian.providers.secrets import Key

T = TypeVar("T")
SECRET = "sk-very-secret-1234567890"
KEY = Key("TEST_KEY", SECRET)


def raw(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    """Return a whole reply; underscores in names of headers are hyphens."""
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """Listens on loopback; ``reply`` gets each request's bytes and says what is written back."""

    def __init__(self, reply: Callable[[bytes], bytes | Awaitable[bytes]]) -> None:
        self.reply = reply
        self.seen: list[tuple[float, bytes]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                asked = head + await reader.readexactly(size)
                self.seen.append((time.monotonic(), asked))
                told = self.reply(asked)
                told = told if isinstance(told, bytes) else await told
                writer.write(told)
                await writer.drain()
                if b"HTTP/1.1 " not in told or told.endswith(b"<cut>"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    socket = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{socket.sockets[0].getsockname()[1]}"
    finally:
        socket.close()


@asynccontextmanager
async def serving(
    reply: Callable[[bytes], bytes | Awaitable[bytes]],
) -> AsyncIterator[tuple[Server, str]]:
    server = Server(reply)
    async with listening(server) as base:
        yield server, base


@asynccontextmanager
async def client(*endpoints: str, key: Key = KEY, **settings: Any) -> AsyncIterator[Client]:
    opened = Client(endpoints, [key], lambda key: {"x-key": key.secret}, **settings)
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


# -- one attempt --------------------------------------------------------------------------


def test_a_request_goes_out_as_it_is_and_the_reply_comes_back() -> None:
    async def test() -> None:
        said = raw(200, b"\xe1\x9e\x81", x_a="b")
        async with serving(lambda asked: said) as (server, base), client(base + "/v1/") as http:
            replies = [await http.post("/say", b'{"a":"\xe1\x9e\x81"}') for _ in range(3)]
        assert [(one.status, one.data, one.headers["X-A"]) for one in replies] == [
            (200, "ខ".encode(), "b")
        ] * 3
        head, _, body = server.seen[0][1].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/say HTTP/1.1\r\n")
        assert b"user-agent: bactrian/" in head.lower()
        assert f"x-key: {SECRET}".encode() in head
        assert body == b'{"a":"\xe1\x9e\x81"}'
        assert server.connections == 1, "a connection is used again"

    ran(test)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"", "ServerDisconnectedError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf<cut>", "ClientPayloadError"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz<cut>", "Error"),
        (b"\x1b[31mSSH-2.0\x07\r\n\r\n", "ClientResponseError"),
        (raw(200, b"no gzip", content_encoding="gzip"), "ClientPayloadError"),
        (raw(200, gzip.compress(b"x" * 999)[:20], content_encoding="gzip"), ""),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99_999 + b"\r\n\r\n", "ClientResponseError"),
    ],
)
def test_whatever_breaks_on_the_way_is_a_connection_that_failed(said: bytes, problem: str) -> None:
    async def test() -> Reply:
        async with serving(lambda asked: said) as (_, base), client(base) as http:
            return await http.post("/x", b"{}")

    reply = ran(test)
    outcome = refusal(reply, "openai:m")
    if not problem:  # cut gzip: aiohttp gives what it has, and who reads it finds it malformed
        assert outcome is None
        return
    assert isinstance(outcome, Again)
    assert outcome.why == "network"
    assert problem in outcome.detail
    assert outcome.detail.isprintable()
    assert reply.sent, "it may have been answered, and billed"


def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    async def test() -> Reply:
        async with client(f"http://127.0.0.1:{await unused_port()}") as http:
            return await http.post("/x", b"{}")

    reply = ran(test)
    assert (reply.status, reply.sent) == (0, False)
    assert "ClientConnectorError" in reply.problem


@pytest.mark.parametrize("base", ["localhost:8000/v1", "ftp://127.0.0.1", "http://"])
def test_an_address_that_cannot_be_says_so(base: str) -> None:
    async def test() -> Reply:
        async with client(base) as http:
            return await http.post("/x", b"{}")

    outcome = refusal(ran(test), "openai:m")
    assert isinstance(outcome, Again)
    assert base.rstrip("/").split(":")[0] in outcome.detail or "URL" in outcome.detail


def test_a_server_that_never_replies_is_left_after_the_timeout() -> None:
    async def never(asked: bytes) -> bytes:
        await asyncio.sleep(0.8 if b"slow" in asked else 0)
        return raw(200)

    async def test() -> None:
        async with serving(never) as (_, base), client(base, timeout=0.3) as http:
            begun = time.monotonic()
            slow = asyncio.create_task(http.post("/slow", b"{}"))
            quick = [await http.post("/quick", b"{}") for _ in range(3)]
            reply = await slow
            assert 0.3 <= time.monotonic() - begun < 0.7
            assert (reply.status, reply.problem, reply.sent) == (0, "no reply in time", True)
            assert slow.cancelling() == 0
            assert [one.status for one in quick] == [200] * 3
            assert (await http.post("/quick", b"{}")).status == 200

    ran(test)


def test_a_reply_that_drips_is_left_after_the_timeout() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            for _ in range(100):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def test() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with client(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.3
        ) as http:
            begun = time.monotonic()
            assert (await http.post("/x", b"{}")).problem == "no reply in time"
            assert time.monotonic() - begun < 1
        server.close()

    ran(test)


def test_a_task_that_is_cancelled_is_cancelled() -> None:
    async def never(asked: bytes) -> bytes:
        await asyncio.sleep(5)
        return raw(200)

    async def test() -> None:
        async with serving(never) as (_, base), client(base) as http:
            task = asyncio.create_task(http.post("/x", b"{}"))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert http.lanes[0].in_flight == 0

    ran(test)


def test_a_client_opens_again_in_another_loop() -> None:
    http = Client(["http://127.0.0.1:1"], [KEY], lambda key: {}, a_minute=(60_000, 0))

    async def test() -> list[int]:
        async with serving(lambda asked: raw(200)) as (_, base):
            http.lanes[0].base = base
            http.lanes[0].urls.clear()
            replies = await asyncio.gather(*(http.post("/x", b"{}") for _ in range(20)))
            http.stop()
            await http.close()
            return [reply.status for reply in replies]

    assert ran(test) == ran(test) == [200] * 20


def test_a_redirect_is_not_followed() -> None:
    async def test() -> None:
        async with serving(lambda asked: raw(200)) as (elsewhere, other):
            moved = raw(307, b"", location=other + "/x")
            async with serving(lambda asked: moved) as (_, base), client(base) as http:
                assert (await http.post("/x", b"{}")).status == 307
        assert not elsewhere.seen, "the key would go where the recipe does not say"

    ran(test)


def test_retry_after_is_found_whatever_its_case() -> None:
    async def test() -> Reply:
        said = raw(429, b"", RETRY_AFTER="3")
        async with serving(lambda asked: said) as (_, base), client(base) as http:
            return await http.post("/x", b"{}")

    assert retry_after(ran(test).headers) == 3.0


def test_a_key_that_a_server_repeats_is_not_shown() -> None:
    body = orjson.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}."}})
    statuses = (400, 401, 402, 403, 404, 429, 500)

    async def test() -> list[Reply]:
        replies = []
        for status in statuses:
            said = raw(status, body)
            async with serving(lambda asked, said=said: said) as (_, base), client(base) as http:  # type: ignore[misc]
                replies.append(await http.post("/x", b"{}"))
        return replies

    shown = []
    for reply in ran(test):
        try:
            shown.append(repr(refusal(reply, "openai:m")))
        except ProviderError as error:
            shown.append(f"{error} {error!r} {error.args}")
        shown.append(f"{reply!r} {reply.lane!r} {reply.lane.key!r} {reply.lane.key}")
    assert len(shown) == 2 * len(statuses)
    assert not [one for one in shown if SECRET in one]
    assert "Incorrect API key provided: TEST_KEY" in shown[0]
