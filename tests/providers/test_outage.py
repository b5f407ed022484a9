"""A provider that is gone ends the run; one that stumbles, or one bad request, does not."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from bactrian.errors import ProviderError
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Reason, Request, filling
from bactrian.providers.fill import Filled, fill
from bactrian.providers.outage import SILENT_CALLS, SILENT_SECONDS, UNREACHED, Outage
from bactrian.providers.terms import Terms

REFUSED = Again("network", "ClientConnectorError: refused")
BROKEN = Again("server", "HTTP 503")
CUT = Again("malformed", "a reply that is no completion")
ANSWER = Answer("ok")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets: its only element."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def calls(outage: Outage, *outcomes: Outcome) -> list[ProviderError | None]:
    return [outage.after([outcome]) for outcome in outcomes]


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (REFUSED, "m cannot be reached: ClientConnectorError: refused"),
        (CUT, "m cannot be understood: a reply that is no completion"),
    ],
)
def test_a_provider_that_never_answered_is_given_up_soon(outcome: Again, problem: str) -> None:
    *before, last = calls(Outage("m"), *[outcome] * UNREACHED)
    assert before == [None] * (UNREACHED - 1)
    assert last is not None
    assert (last.problem, last.retryable) == (problem, True)
    assert "endpoints" in last.hint


@pytest.mark.parametrize("outcome", [REFUSED, CUT, BROKEN])
def test_a_provider_that_answered_before_is_given_time(outcome: Again) -> None:
    assert calls(Outage("m"), ANSWER, *[outcome] * 1000) == [None] * 1001


def test_a_server_that_starts_up_is_given_time() -> None:
    assert calls(Outage("m"), *[BROKEN] * 1000) == [None] * 1000


@pytest.mark.parametrize("why", ["limit", "empty", "length", "language", "refusal"])
def test_what_is_no_sign_of_being_gone_is_none(clock: list[float], why: Reason) -> None:
    outage = Outage("m")
    for _ in range(1000):
        clock[0] += 10
        assert outage.after([Again(why, "x")]) is None
        assert outage.after([NoAnswer("refused")]) is None


def test_silence_ends_the_run(clock: list[float]) -> None:
    outage = Outage("m")
    outage.after([ANSWER])
    assert calls(outage, *[BROKEN] * SILENT_CALLS) == [None] * SILENT_CALLS
    clock[0] += SILENT_SECONDS - 1
    assert outage.after([BROKEN]) is None
    clock[0] += 1
    ended = outage.after([REFUSED])
    assert ended is not None
    assert ended.problem == "m has not answered for 120 seconds: ClientConnectorError: refused"
    assert (ended.retryable, "ledger" in ended.hint) == (True, True)


def test_an_answer_ends_the_silence(clock: list[float]) -> None:
    outage = Outage("m")
    for _ in range(10):
        assert calls(outage, *[BROKEN] * SILENT_CALLS) == [None] * SILENT_CALLS
        clock[0] += SILENT_SECONDS - 1
        assert outage.after([BROKEN, ANSWER]) is None


def test_one_request_that_always_fails_is_no_outage(clock: list[float]) -> None:
    outage = Outage("m")
    outage.after([ANSWER])
    for _ in range(SILENT_CALLS - 1):
        clock[0] += 60
        assert outage.after([BROKEN]) is None


# -- in a run -----------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "backoff", lambda tries, chance: 0.001)


class Scripted:
    """Gives each request its outcomes one after another, then answers."""

    name = "scripted:m"

    def __init__(self, batch: int = 1, seconds: float = 0.0) -> None:
        self.batch = batch
        self.seconds = seconds
        self.script: dict[int, list[Outcome]] = defaultdict(list)
        self.sent: list[int] = []
        self.billed = 0.0
        self.calls = 0

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        self.calls += 1
        numbers = [asked["number"] for asked in requests]
        self.sent.extend(numbers)
        await asyncio.sleep(self.seconds)
        return [self.outcome(number) for number in numbers]

    def outcome(self, number: int) -> Outcome:
        told = self.script[number]
        outcome = told.pop(0) if told else Answer(f"answer {number}", cost_usd=0.25)
        billed = outcome if isinstance(outcome, Answer) else outcome.billed
        self.billed += billed.cost_usd if billed is not None else 0.0
        return outcome


def filled(
    path: Path, numbers: Sequence[int], provider: Scripted, terms: Terms | None = None
) -> Filled:
    requests = [{"number": number, "texts": ["text"]} for number in numbers]
    with Ledger(path) as ledger:
        return fill(ledger, requests, provider, "response", terms=terms or Terms(), task="t")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


@pytest.mark.usefixtures("at_once")
def test_answers_of_the_call_that_ends_the_run_are_kept(path: Path) -> None:
    class Mixed(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
            await super().send(requests)
            return [NoAnswer("no")] + [Again("network", "refused")] * (len(requests) - 1)

    provider = Mixed(batch=4)
    with pytest.raises(ProviderError, match="scripted:m cannot be reached: refused") as told:
        filled(path, range(400), provider, Terms(concurrency=1))
    assert told.value.retryable
    assert provider.calls == 8
    with Ledger(path, read_only=True) as ledger:
        assert len(ledger.failures()) == 8


@pytest.mark.usefixtures("at_once")
def test_one_dropped_call_with_many_requests_is_no_outage(path: Path) -> None:
    provider = Scripted(batch=64)
    for number in range(64):
        provider.script[number] = [Again("network", "dropped")]
    assert filled(path, range(64), provider).answered == 64


def test_an_outage_in_the_middle_leaves_no_row_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the clock runs a thousand times as fast, so that two minutes are 0.12 s
    real, begun = time.monotonic, time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + (real() - begun) * 1000)
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda wait: sleep(wait / 1000))

    class Gone(Scripted):
        alive = 100

        def outcome(self, number: int) -> Outcome:
            # then 503 with a Retry-After of a second, for ever
            self.alive -= 1
            return super().outcome(number) if self.alive >= 0 else BROKEN._replace(after=1.0)

    provider = Gone()
    with pytest.raises(ProviderError, match=r"has not answered for 1\d\d seconds: HTTP 503"):
        filled(path, range(1000), provider, Terms(concurrency=8))
    with Ledger(path, read_only=True) as ledger:
        assert len(ledger) == 100
        assert ledger.failures() == {}, "retries were burnt on a server that is down"
    assert len(set(provider.sent)) <= 100 + SILENT_CALLS + 8, "a server that is down was stormed"
    second = Scripted()
    assert filled(path, range(1000), second).need.present == 100
    assert len(second.sent) == 900


def test_a_server_that_refuses_every_request_ends_the_run() -> None:
    outage = Outage("openai:m")
    refused = NoAnswer("HTTP 400: unknown field max_tokens")
    found = [outage.after([refused]) for _ in range(20)]
    assert found[:19] == [None] * 19
    assert found[19] is not None
    assert "refuses every request: HTTP 400: unknown field" in found[19].problem


def test_refusals_among_answers_are_rows_of_their_own() -> None:
    outage = Outage("openai:m")
    outage.after([Answer("ok")])
    assert all(outage.after([NoAnswer("HTTP 400: too long")]) is None for _ in range(100))
    silent = Outage("recorded:m")
    lacks = NoAnswer("the recording has no answer to this request")
    assert all(silent.after([lacks]) is None for _ in range(100))
