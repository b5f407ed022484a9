"""What is paid for is not lost: kill -9, Ctrl-C, a full disk, a server that goes and comes back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.errors import LedgerError
from bactrian.ledger import Entry, Ledger
from bactrian.ledger.tables import connect
from bactrian.providers import Answer, Outcome, Price, Request, Told
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled, fill
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond

CONCURRENCY = 16


class Service:
    """Chat completions on loopback, in a thread; it bills every completion that it has begun."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.paid: list[tuple[float, str]] = []
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.listening: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.start()

    def start(self) -> None:
        self._wait(self._listen())

    def stop(self) -> None:
        self._wait(self._leave())

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    @property
    def twice(self) -> int:
        return len(self.paid) - len({key for _, key in self.paid})

    def _wait(self, what: object) -> None:
        asyncio.run_coroutine_threadsafe(what, self.loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self.listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.listening.sockets[0].getsockname()[1]

    async def _leave(self) -> None:
        assert self.listening is not None
        self.listening.close()
        for writer in self.writers:
            writer.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                content = orjson.loads(await reader.readexactly(size))["messages"][0]["content"]
                self.paid.append((time.monotonic(), content))
                await asyncio.sleep(self.seconds)
                told = {
                    "choices": [{"message": {"content": content.upper()}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
                }
                body = orjson.dumps(told)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(0.02)
    yield running
    running.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


def request(number: int) -> Request:
    return {"model": "m", "messages": [{"role": "user", "content": f"câu {number}"}]}


def chat(port: int) -> OpenAIChat:
    section = Respond(model="m", endpoints=(f"http://127.0.0.1:{port}",))
    return OpenAIChat(Told(section, Path(), Price(input=1.0, output=1.0)))


def filled(path: Path, rows: int, port: int) -> Filled:
    with Ledger(path) as ledger:
        terms = Terms(concurrency=CONCURRENCY)
        return fill(
            ledger, map(request, range(rows)), chat(port), "response", terms=terms, task="t"
        )


def outputs(path: Path) -> list[str]:
    with Ledger(path, read_only=True) as ledger:
        return [entry.output for entry in ledger.entries()]


def asking(path: Path, rows: int, port: int) -> subprocess.Popen[str]:
    """Start another process that fills the ledger and prints what it did."""
    script = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_asking import filled
        try:
            done = filled(Path({str(path)!r}), {rows}, {port})
            print(done.need.present, done.answered, done.failed)
        except KeyboardInterrupt:
            print("interrupted")
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def when(happens: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not happens() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()[0]


# -- kill -9 ------------------------------------------------------------------------------


def test_killed_at_any_moment_nothing_is_lost_or_doubled_and_little_is_paid_twice(
    path: Path, service: Service
) -> None:
    rows, chance = 1500, random.Random(7)
    moments = sorted(chance.sample(range(20, 1300), 4))
    allowed = 0
    for moment in moments:
        process = asking(path, rows, service.port)
        when(lambda moment=moment: len(service.paid) >= moment, process)  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        process.communicate()
        # on their way, and in the group that was not yet on disk (50 ms, and a slow machine)
        group = sum(killed - 0.2 - service.seconds <= at for at, _ in service.paid)
        allowed += CONCURRENCY + group
    before = len(outputs(path))
    last = asking(path, rows, service.port)
    told = last.communicate(timeout=60)[0]
    assert told == f"{before} {rows - before} 0\n"
    assert sorted(outputs(path)) == sorted(f"CÂU {number}" for number in range(rows))
    assert {key for _, key in service.paid} == {f"câu {number}" for number in range(rows)}
    assert service.twice <= allowed
    assert service.twice <= len(moments) * 250  # whatever the machine: never the whole again


# -- Ctrl-C -------------------------------------------------------------------------------


def test_ctrl_c_once_keeps_everything_that_was_paid_for(path: Path, service: Service) -> None:
    service.seconds = 0.3
    process = asking(path, 500, service.port)
    when(lambda: len(service.paid) >= 2 * CONCURRENCY, process)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert len(outputs(path)) == len(service.paid) < 100
    service.seconds = 0.0
    again = asking(path, 500, service.port)
    again.communicate(timeout=30)
    assert (len(outputs(path)), service.twice) == (500, 0)


def test_ctrl_c_twice_leaves_at_once(path: Path, service: Service) -> None:
    service.seconds = 30.0
    process = asking(path, 500, service.port)
    when(lambda: len(service.paid) >= CONCURRENCY, process)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "it did not wait for what was on its way"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert time.monotonic() - begun < 10
    assert outputs(path) == []


# -- a disk that is full ------------------------------------------------------------------


class Scripted:
    """Answers in this process, after a while."""

    name = "scripted:m"
    batch = 1

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.sent: list[int] = []

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        numbers = [int(one["messages"][0]["content"].removeprefix("câu ")) for one in requests]
        self.sent.extend(numbers)
        await asyncio.sleep(self.seconds)
        return [Answer(f"{number} " + "x" * 2000) for number in numbers]


def test_a_full_disk_ends_the_run_and_what_was_committed_is_not_asked_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(path: Path, read_only: bool) -> sqlite3.Connection:
        connection = connect(path, read_only)
        # a limit on pages gives the very error of a full disk, SQLITE_FULL
        connection.execute("PRAGMA max_page_count = 40")
        return connection

    def run(provider: Scripted) -> Filled:
        with Ledger(path) as ledger:
            terms = Terms(concurrency=4)
            asked = map(request, range(400))
            return fill(ledger, asked, provider, "response", terms=terms, task="t")

    provider = Scripted(seconds=0.01)
    with monkeypatch.context() as patched:
        patched.setattr("bactrian.ledger.connect", small)
        with pytest.raises(LedgerError, match="could not be written: database or disk is full"):
            run(provider)
    kept = outputs(path)
    assert 0 < len(kept) < len(provider.sent) < 400, "it went on to pay for what it could not keep"
    # lost: the group that did not fit, the one that came meanwhile, and what was on its way
    assert len(provider.sent) - len(kept) < 4 * (0.2 / 0.01) + 4
    second = Scripted()
    done = run(second)
    assert (done.need.present, done.answered) == (len(kept), 400 - len(kept))
    assert len(set(outputs(path))) == 400


@pytest.mark.parametrize("odd", [{"tokens_in": 2**70}, {"cost_usd": float("nan")}])
def test_what_cannot_be_written_is_said_and_not_waited_for_for_ever(
    path: Path, odd: dict[str, Any]
) -> None:
    with Ledger(path) as ledger:
        ledger.put(Entry("a" * 32, "response", "m", "ok"))
    ledger = Ledger(path)
    ledger.put(Entry("b" * 32, "response", "m", "ok", **odd))
    for wait in (ledger.flush, ledger.close):
        with pytest.raises(LedgerError, match="could not be written"):
            wait()
    assert outputs(path) == ["ok"]


# -- a server that goes and comes back ----------------------------------------------------


def test_a_server_that_is_away_for_a_second_costs_no_row(path: Path, service: Service) -> None:
    found: list[Filled] = []
    thread = threading.Thread(target=lambda: found.append(filled(path, 600, service.port)))
    thread.start()
    while len(service.paid) < 150:
        time.sleep(0.001)
    service.stop()
    time.sleep(1.0)
    service.start()
    thread.join(30)
    (done,) = found
    assert (done.answered, done.failed) == (600, 0)
    assert done.again["network"] >= CONCURRENCY
    assert service.twice <= CONCURRENCY
    # what was on its way when it went may have been billed: it is counted as a guess
    assert done.charged <= CONCURRENCY
    assert Counter(outputs(path)).most_common(1)[0][1] == 1
