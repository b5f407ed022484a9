"""Ctrl-C: once keeps what is on its way, twice leaves at once; nothing more is sent after it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, Outcome, Request, Told
from bactrian.providers import fill as module
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import fill
from bactrian.providers.terms import Sender, Terms
from bactrian.recipe import Respond


class Scripted:
    """Answers after a while; presses Ctrl-C so many seconds after the first request."""

    name = "scripted:m"
    batch = 1

    def __init__(self, seconds: float, *presses: float) -> None:
        self.seconds = seconds
        self.presses = presses
        self.sent: list[int] = []

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        if not self.sent:
            for after in self.presses:
                press_after(after)
        numbers = [one["number"] for one in requests]
        self.sent.extend(numbers)
        await asyncio.sleep(self.seconds)
        return [self.outcome(number) for number in numbers]

    def outcome(self, number: int) -> Outcome:
        return Answer(str(number))


def press_after(seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, os.kill, os.getpid(), signal.SIGINT)


class Seen:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        if event.kind == "warning":
            self.texts.append(event.facts["text"])


def request(number: int) -> Request:
    return {"number": number, "messages": [{"role": "user", "content": "x"}]}


def asked(path: Path, provider: Sender, concurrency: int = 5) -> None:
    with Ledger(path) as ledger:
        terms = Terms(concurrency=concurrency)
        fill(ledger, map(request, range(100)), provider, "response", terms=terms, task="t")


def kept(path: Path) -> int:
    with Ledger(path, read_only=True) as ledger:
        assert ledger.failures() == {}
        return len(ledger)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


@pytest.fixture(params=["uvloop", "asyncio"], autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both event loops: each has signals of its own."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setattr(module, "_loop_factory", lambda: None)


def test_ctrl_c_keeps_what_is_on_its_way_and_sends_nothing_more(path: Path) -> None:
    class Again1(Scripted):
        def outcome(self, number: int) -> Outcome:
            return Again("limit", after=0.0) if number == 1 else super().outcome(number)

    provider, seen = Again1(0.2, 0.05), Seen()
    before = signal.getsignal(signal.SIGINT)
    with reading(seen), pytest.raises(KeyboardInterrupt):
        asked(path, provider)
    assert provider.sent == [0, 1, 2, 3, 4]
    assert kept(path) == 4
    (text,) = seen.texts
    assert text.startswith("stopping: 5 requests on their way are waited for")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_twice_leaves_at_once(path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked(path, Scripted(30, 0.05, 0.15))
    assert time.monotonic() - begun < 5
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_a_provider_that_gave_up_is_waited_for_leaves_with_the_second(
    path: Path,
) -> None:
    class Broken(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
            if requests[0]["number"] == 2:
                raise ProviderError("no credit", "add some")
            return await super().send(requests)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked(path, Broken(30, 0.05, 0.15))
    assert time.monotonic() - begun < 5


def test_ctrl_c_while_all_wait_to_ask_again_leaves(path: Path) -> None:
    class Limited(Scripted):
        def outcome(self, number: int) -> Outcome:
            return Again("limit", after=60.0)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked(path, Limited(0.0, 0.3), 200)
    assert time.monotonic() - begun < 5
    assert kept(path) == 0


def test_what_waits_for_its_turn_is_not_sent_after_ctrl_c(
    path: Path, serve: Callable[..., Any]
) -> None:
    # one a second: five workers wait for their turn, four of them have sent nothing yet
    def script(_: object) -> tuple[int, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return 200, {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}

    service = serve(script)
    section = Respond(model="m", endpoints=(service.url,), rpm=60)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked(path, OpenAIChat(Told(section, Path())))
    assert time.monotonic() - begun < 3
    assert len(service.asked) == kept(path) == 1
