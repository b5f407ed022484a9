"""One endpoint: what is tried again, what is not, and files that are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from tempfile import TemporaryFile
from typing import Any

import pytest

from bactrian.errors import ProviderError
from bactrian.providers import Again
from bactrian.providers.batches import wire as module
from bactrian.providers.batches.wire import Wire, reopened, size_of
from bactrian.providers.http import Lane
from bactrian.providers.secrets import Key

KEY = Key("TEST_KEY", "sk-secret")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "backoff", lambda tries, chance: 0.0)


def do(url: str, what: Callable[[Wire], Coroutine[Any, Any, Any]]) -> Any:
    async def both() -> Any:
        wire = Wire("openai:m", Lane(url, KEY, {"authorization": "Bearer sk-secret"}), 5.0)
        try:
            return await what(wire)
        finally:
            await wire.close()

    return asyncio.run(both())


def replies(*told: Any) -> Callable[[Any], Any]:
    """Answer with one after the other, the last for ever."""
    left = list(told)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def test_what_stumbles_is_asked_again(serve: Any) -> None:
    told = {"error": {"message": "busy"}}
    server = serve(replies((503, told), (0, b""), (429, told), (200, {"a": 1})))
    assert do(server.url, lambda wire: wire.ask("GET", "/batches/1")) == {"a": 1}
    assert len(server.asked) == 4
    assert server.asked[0].headers["authorization"] == "Bearer sk-secret"
    assert server.asked[0].headers["user-agent"].startswith("bactrian/")


def test_what_is_not_there_is_none(serve: Any) -> None:
    server = serve(replies((404, {"error": {"message": "no such batch"}})))
    assert do(server.url, lambda wire: wire.ask("GET", "/batches/1")) is None


@pytest.mark.parametrize(
    ("status", "said", "problem"),
    [
        (401, "bad key sk-secret", "refuses the key TEST_KEY: bad key TEST_KEY"),
        (400, "limit is not a number", "refuses a call of its batch API: HTTP 400: limit is not"),
        (400, "your credit balance is too low", "no credit left"),
    ],
)
def test_what_makes_no_sense_ends_the_run_and_shows_no_key(
    serve: Any, status: int, said: str, problem: str
) -> None:
    server = serve(replies((status, {"error": {"message": said}})))
    with pytest.raises(ProviderError, match=problem) as raised:
        do(server.url, lambda wire: wire.ask("GET", "/batches"))
    assert "sk-secret" not in str(raised.value)
    assert len(server.asked) == 1


def test_a_server_that_was_never_there_is_given_up(serve: Any) -> None:
    with pytest.raises(ProviderError, match="cannot be reached") as raised:
        do("http://127.0.0.1:9", lambda wire: wire.ask("GET", "/batches"))
    assert raised.value.retryable


def test_a_page_that_is_no_json_is_no_batch_api(serve: Any) -> None:
    server = serve(replies((200, b"<html>hello</html>")))
    with pytest.raises(ProviderError, match="does not speak a batch API"):
        do(server.url, lambda wire: wire.ask("GET", "/batches"))


def test_a_download_that_breaks_off_starts_again_and_is_whole(serve: Any) -> None:
    whole = b'{"custom_id":"a"}\n' * 5000
    cut = (200, whole[:700], {"content-length": str(len(whole))})
    server = serve(replies(cut, (503, {}), (200, whole)))

    async def fetch(wire: Wire) -> bytes:
        with TemporaryFile() as file:
            assert await wire.download("/files/1/content", file)
            return file.read()

    assert do(server.url, fetch) == whole


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((429, {"error": {"message": "slow down"}}), "limit"),
        ((500, {"error": {"message": "oops"}}), "server"),
        ((0, b""), "network"),
        ((200, {"no": "id"}), "malformed"),
        ((200, b"half a rep"), "malformed"),
    ],
)
def test_what_makes_a_batch_is_sent_once(serve: Any, reply: Any, why: str) -> None:
    """Only a refusal says that nothing was made; for anything else the batch is looked for."""
    server = serve(replies(reply))
    made = do(server.url, lambda wire: wire.make("/batches", b"{}"))
    assert isinstance(made, Again) and made.why == why
    assert len(server.asked) == 1


def test_what_never_got_there_made_nothing() -> None:
    made = do("http://127.0.0.1:9", lambda wire: wire.make("/batches", b"{}"))
    assert isinstance(made, Again) and made.why == "limit"


def test_a_refused_batch_is_said(serve: Any) -> None:
    server = serve(replies((400, {"error": {"message": "bad window"}})))
    with pytest.raises(ProviderError, match="refuses the batch: HTTP 400: bad window"):
        do(server.url, lambda wire: wire.make("/batches", b"{}"))


def test_a_file_is_sent_from_its_start_however_often(serve: Any) -> None:
    server = serve(replies((200, {"id": "b"})))
    data = "ខ្មែរ".encode() * 100_000

    async def twice(wire: Wire) -> None:
        with TemporaryFile() as file:
            file.write(data)
            file.flush()
            for _ in range(2):
                assert await wire.make("/batches", reopened(file), size_of(file)) == "b"

    do(server.url, twice)
    assert [asked.body for asked in server.asked] == [data, data]
    assert server.asked[0].headers["content-length"] == str(len(data))
