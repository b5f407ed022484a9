"""The loop that asks: nothing lost, nothing doubled, no retry too early, no worker that spins."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from bactrian.events import Event
from bactrian.ledger import Ledger, key_of
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Reason, Request, filling
from bactrian.providers.fill import Filled, fill
from bactrian.providers.filling import Filling
from bactrian.providers.retries import CAPS
from bactrian.providers.terms import Terms

REASONS: tuple[Reason, ...] = get_args(Reason)


def request(number: int) -> Request:
    return {"target": "vi", "texts": [f"text {number}" + "." * (number % 40)]}


def number_of(asked: Request) -> int:
    return int(asked["texts"][0].removeprefix("text ").rstrip("."))


class Scripted:
    """Gives each request its outcomes one after another, then answers; keeps account of all."""

    name = "scripted:m"

    def __init__(self, batch: int = 1, seconds: float = 0.0) -> None:
        self.batch = batch
        self.seconds = seconds
        self.script: dict[int, list[Outcome]] = defaultdict(list)
        self.sent: list[tuple[int, float]] = []
        self.due: dict[int, float] = {}
        self.early: list[int] = []
        self.flying: set[int] = set()
        self.doubled: list[int] = []
        self.calls = 0
        self.billed = 0.0
        self.useless = 0

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        assert 0 < len(requests) <= self.batch
        self.calls += 1
        numbers = [number_of(asked) for asked in requests]
        now = time.monotonic()
        for number in numbers:
            self.sent.append((number, now))
            if now < self.due.get(number, 0.0):
                self.early.append(number)
            if number in self.flying:
                self.doubled.append(number)
        self.flying.update(numbers)
        await asyncio.sleep(self.seconds)
        self.flying.difference_update(numbers)
        return [self.outcome(number) for number in numbers]

    def outcome(self, number: int) -> Outcome:
        told = self.script[number]
        outcome = told.pop(0) if told else Answer(f"answer {number}", cost_usd=0.25)
        if isinstance(outcome, Again) and outcome.after:
            self.due[number] = time.monotonic() + outcome.after
        billed = outcome if isinstance(outcome, Answer) else outcome.billed
        if billed is not None:
            self.billed += billed.cost_usd
            self.useless += billed is not outcome
        return outcome

    def times(self, number: int) -> list[float]:
        return [when for sent, when in self.sent if sent == number]


class Seen:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        if event.kind == "warning":
            self.texts.append(event.facts["text"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are a millisecond a try."""
    monkeypatch.setattr(filling, "backoff", lambda tries, chance: 0.001 * tries)


def filled(
    path: Path, numbers: Sequence[int], provider: Scripted, terms: Terms | None = None
) -> Filled:
    with Ledger(path) as ledger:
        return fill(
            ledger, map(request, numbers), provider, "response", terms=terms or Terms(), task="t"
        )


def chances(seed: int, provider: Scripted, numbers: range) -> None:
    """Write a script of every kind of outcome."""
    chance = random.Random(seed)
    billed = Answer("half", "lost", 10, 20, 3, 0.125)
    for number in numbers:
        told: list[Outcome] = []
        while chance.random() < 0.45:
            after = chance.choice([None, None, 0.0, 0.004, 0.03])
            paid = billed if chance.random() < 0.5 else None
            told.append(Again(chance.choice(REASONS), "scripted", after, paid))
        if chance.random() < 0.15:
            told.append(NoAnswer("declined", billed=billed if chance.random() < 0.5 else None))
        provider.script[number] = told


# -- every request once -------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("characters", [0, 90])
@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_every_request_is_answered_or_failed_once_and_all_money_is_counted(
    path: Path, seed: int, batch: int, characters: int
) -> None:
    chance = random.Random(seed)
    provider = Scripted(batch, seconds=chance.choice([0.0, 0.002]))
    if characters:
        provider.batch_characters = characters  # type: ignore[attr-defined]
    chances(seed, provider, range(300))
    expected = {number: len(told) for number, told in provider.script.items()}
    with Ledger(path) as ledger:
        before = [request(number) for number in range(0, 300, 7)]
        fill(ledger, before, Scripted(64), "response", terms=Terms(), task="before")
    numbers = [*range(300), *chance.choices(range(300), k=50)]
    terms = Terms(concurrency=chance.choice([1, 2, 9, 64]))
    done = filled(path, numbers, provider, terms)

    assert (done.need.rows, done.need.unique, done.need.present) == (350, 300, len(before))
    assert done.need.missing == done.answered + done.failed
    assert not provider.early
    assert not provider.doubled
    with Ledger(path, read_only=True) as ledger:
        answers = {entry.key: entry for entry in ledger.entries()}
        failures, charges = ledger.failures(), list(ledger.charges())
        (total,) = ledger.totals()
    keys = {key_of(request(number)): number for number in range(300)}
    assert answers.keys() | failures.keys() == keys.keys()
    assert not answers.keys() & failures.keys()
    assert len(answers) == len(before) + done.answered
    assert len(failures) == done.failed
    for key, entry in answers.items():
        assert entry.output == f"answer {keys[key]}"
        assert entry.attempts == 1 + (expected[keys[key]] if keys[key] % 7 else 0)
    assert done.cost_usd == pytest.approx(provider.billed)
    assert done.charged == len(charges) == provider.useless == total.charges
    assert total.cost_usd == pytest.approx(provider.billed + 0.25 * len(before))
    assert sum(done.again.values()) == len(provider.sent) - done.need.missing


# -- how often, and when ------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("why", REASONS)
@pytest.mark.parametrize("more", [0, 1])
def test_each_reason_has_its_own_cap(path: Path, why: Reason, more: int) -> None:
    provider = Scripted()
    again = Again(why, "as scripted", 0.0, Answer("", cost_usd=0.5))
    provider.script[0] = [again] * (2 + more)
    # seven of every other reason do not count towards the cap
    others = [other for other in REASONS if other != why]
    provider.script[0] += [Again(other, after=0.0) for other in others for _ in range(7)]
    terms = Terms(concurrency=1, caps={**dict.fromkeys(REASONS, 7), why: 2})
    done = filled(path, [99, 0], provider, terms)
    assert (done.answered, done.failed) == ((1, 1) if more else (2, 0))
    assert done.charged == 2 + more
    with Ledger(path, read_only=True) as ledger:
        reasons = list(ledger.failures().values())
    assert reasons == ([f"as scripted (3 attempts, the last: {why})"] if more else [])


def test_what_has_no_detail_names_its_reason_and_one_attempt_is_one(path: Path) -> None:
    provider = Scripted()
    provider.script[0] = [Again("empty")]
    filled(path, [0], provider, Terms(caps={**CAPS, "empty": 0}))
    with Ledger(path, read_only=True) as ledger:
        assert list(ledger.failures().values()) == ["empty (1 attempt, the last: empty)"]


def test_a_request_waits_as_it_was_told_and_the_others_do_not(path: Path) -> None:
    provider = Scripted(seconds=0.001)
    provider.script[0] = [Again("limit", after=0.5)]
    provider.script[1] = [Again("limit", after=0.3), Again("limit", after=0.1)]
    begun = time.monotonic()
    done = filled(path, range(100), provider, Terms(concurrency=4))
    assert done.answered == 100
    others = max(when for number, when in provider.sent if number > 1) - begun
    assert others < 0.25, "the others were made to wait"
    (first, second), slow = provider.times(0), provider.times(1)
    assert 0.5 <= second - first < 0.8
    assert 0.3 <= slow[1] - slow[0] < 0.6
    assert 0.1 <= slow[2] - slow[1] < 0.4
    assert not provider.early


def test_waits_double_where_nobody_says_how_long(path: Path) -> None:
    provider = Scripted()
    provider.script[0] = [Again("network"), Again("network")]
    filled(path, [0], provider)
    first, second, third = provider.times(0)
    assert 0.25 <= second - first < 0.6
    assert 0.5 <= third - second < 1.15


def test_a_server_that_says_one_second_for_ever_does_not_use_up_the_tries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def backoff(tries: int, chance: float) -> float:
        told.append(tries)
        return 0.1

    monkeypatch.setattr(filling, "backoff", backoff)
    provider = Scripted()
    provider.script[0] = [Again("server", "HTTP 503", 0.001)] * 3
    filled(path, [0], provider)
    first, second, *_ = provider.times(0)
    assert second - first >= 0.1
    assert told == [0, 1, 2]


def test_many_that_wait_keep_no_worker_from_what_is_due(path: Path) -> None:
    provider = Scripted(seconds=0.001)
    for number in range(500):
        provider.script[number] = [Again("limit", after=0.4)]
    begun = time.monotonic()
    done = filled(path, range(600), provider, Terms(concurrency=3))
    assert done.answered == 600
    fresh = [when - begun for number, when in provider.sent if number >= 500]
    assert max(fresh) < min(when for _, when in provider.sent if when > begun + 0.39) - begun
    assert not provider.early


def test_workers_that_wait_do_not_spin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Counter[str]()
    draw = Filling._draw

    def counted(self: Filling) -> list[filling.Item]:
        looks["draw"] += 1
        return draw(self)

    monkeypatch.setattr(Filling, "_draw", counted)
    provider = Scripted()
    for number in range(400):  # all due at another time
        provider.script[number] = [Again("limit", after=0.3 + number * 0.001)]
    done = filled(path, range(400), provider, Terms(concurrency=400))
    assert done.answered == 400
    # one look a request sent, one more where a worker ends or has to wait; were all woken each
    # time, it would be 400 x 400 / 2
    assert looks["draw"] < 400 * 8


def test_what_waits_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "MOST_LATER", 50)
    provider = Scripted()
    for number in range(300):
        provider.script[number] = [Again("limit", after=0.1)]
    begun = time.monotonic()
    done = filled(path, range(300), provider, Terms(concurrency=8))
    assert done.answered == 300
    met = {number for number, when in provider.sent if when - begun < 0.09}
    assert len(met) <= 50 + 8


def test_a_clock_that_is_set_back_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    steps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(steps))
    provider = Scripted()
    provider.script[0] = [Again("limit", after=0.05), Again("limit", after=0.05)]
    begun = time.monotonic()
    assert filled(path, range(20), provider).answered == 20
    assert not provider.early
    assert time.monotonic() - begun < 2
