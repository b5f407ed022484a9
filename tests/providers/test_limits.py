"""Rates: what a strict server grants is used and not passed; what it names or refuses is learnt."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from bactrian.providers.limits import SLACK, Pace, Speed, limits_of, seconds


@dataclass
class Bucket:
    """The limit of a server: ``a_second`` units, ``burst`` of them at once; it starts full."""

    a_second: float
    burst: float
    left: float = math.inf
    at: float = 0.0

    def takes(self, units: float, now: float) -> bool:
        self.left = min(self.burst, self.left + (now - self.at) * self.a_second)
        self.at = now
        # a hundredth of a request: floats
        if self.left < units - 0.01:
            return False
        self.left -= units
        return True


@dataclass
class Run:
    """A simulated run of workers against a server, on a clock of its own."""

    seconds: float
    workers: int = 64
    latency: float = 0.05
    refused_after: float = 0.02
    """Seconds until a refusal comes back; the worker then goes on with another request."""
    late: float = 0.0
    """A timer is late by up to so many seconds."""
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def of(
        self, pace: Pace, grants: Callable[[float, float], bool], speed: Speed | None = None
    ) -> Run:
        chance, numbers, waiting = random.Random(0), count(), self.workers
        events = [(0.0, next(numbers), "turn")]
        while events and events[0][0] < self.seconds:
            now, _, what = heapq.heappop(events)
            more: list[tuple[float, str]] = []
            if what == "turn" and (delay := pace.delay(now)) > 0:
                more = [(min(delay, 0.05) + chance.random() * self.late, "turn")]
            elif what == "turn":
                if speed is not None:
                    speed.count(now)
                pace.take(1, now)
                granted = grants(1, now)
                waiting -= 1
                more = [(self.latency, "answered") if granted else (self.refused_after, "refused")]
                more += [(0.0, "turn")] if waiting else []
            else:
                (self.answered if what == "answered" else self.refused).append(now)
                if what == "refused" and speed is not None and (seen := speed.refuse(now)):
                    pace.cut(*seen, now)
                waiting += 1
                more = [(0.0, "turn")] if waiting == 1 else []
            for after, then in more:
                heapq.heappush(events, (now + after, next(numbers), then))
        return self

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= when < end for when in self.answered) / (end - begin)


# -- a limit that the user has told -------------------------------------------------------


@pytest.mark.parametrize(("rpm", "workers"), [(12_000, 64), (600, 64), (60, 8), (30_000, 512)])
@pytest.mark.parametrize("late", [0.0, 0.004])
def test_a_told_limit_is_used_to_the_full_and_nobody_is_refused(
    rpm: int, workers: int, late: float
) -> None:
    rate = rpm / 60
    # the strictest bucket that a late timer can live with: what is caught up on, and one request
    bucket = Bucket(rate, 2 + rate * SLACK)
    run = Run(60.0, workers, late=late).of(Pace(rpm), bucket.takes)
    assert not run.refused
    assert len(run.answered) >= 0.97 * rate * 60
    # evenly: no second takes what belongs to the next one
    assert max(run.rate(at, at + 1) for at in range(59)) <= rate * (1 + SLACK) + 2


def test_there_is_no_burst_of_a_minute_s_worth_after_a_pause() -> None:
    pace = Pace(60)
    assert pace.wait(1, 1000.0) == 0.0
    assert pace.wait(1, 1000.0) == pytest.approx(1.0, abs=SLACK)
    # ten minutes later: one at once, the next a second later
    assert pace.wait(1, 1600.0) == 0.0
    assert pace.wait(1, 1600.0) == pytest.approx(1.0, abs=SLACK)


def test_no_limit_is_no_wait() -> None:
    pace = Pace()
    assert not pace.limited
    assert [pace.wait(10**9, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    pace.give_back(10**9)
    assert pace.wait(1, 0.0) == 0.0


def test_a_clock_that_stands_still_or_goes_back_frees_nothing() -> None:
    pace = Pace(60)
    waits = [pace.wait(1, now) for now in (100.0, 100.0, 99.0, 99.0)]
    assert waits == pytest.approx([0.0, 0.95, 2.95, 3.95])


def test_what_was_not_used_is_for_the_next_one() -> None:
    pace = Pace(600)
    pace.take(100, 50.0)
    assert pace.delay(50.0) == pytest.approx(10.0 - SLACK)
    pace.give_back(90)
    assert pace.delay(50.0) == pytest.approx(1.0 - SLACK)
    pace.give_back(-20)
    assert pace.delay(50.0) == pytest.approx(3.0 - SLACK)


def test_what_was_not_used_for_long_is_not_saved_up() -> None:
    pace = Pace(600)
    pace.take(100, 50.0)
    pace.give_back(100_000)
    assert pace.delay(50.0) == 0.0
    pace.take(10, 50.0)
    assert pace.delay(50.0) == pytest.approx(1.0 - SLACK)


# -- a limit that the provider names ------------------------------------------------------


def test_a_limit_that_is_named_counts_and_may_rise_again() -> None:
    pace = Pace()
    pace.learn(600)
    assert pace.rate == 10
    pace.learn(60)
    assert pace.rate == 1
    pace.learn(6000)
    assert pace.full == 100
    pace.delay(10.0)
    for tenth in range(100, 2000):
        pace.delay(tenth / 10)
    assert pace.rate == 100


def test_what_the_user_told_is_not_passed_whatever_the_provider_names() -> None:
    pace = Pace(60)
    pace.learn(6000)
    assert pace.rate == 1
    pace.learn(30)
    assert pace.rate == 0.5
    pace.learn(6000)
    for second in range(100):
        pace.delay(float(second))
    assert pace.rate == 1


def named(limit: str, left: str, reset: str, what: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{what}": limit,
        f"x-ratelimit-remaining-{what}": left,
        f"x-ratelimit-reset-{what}": reset,
    }


@pytest.mark.parametrize(
    ("headers", "a_minute"),
    [
        # OpenAI: a bucket of a minute that fills steadily
        (named("500", "499", "120ms"), 500),
        (named("5000", "4000", "12s"), 5000),
        (named("12000", "0", "1m0s"), 12000),
        # a day's worth: 200 a day, one used comes back in 7 min 12 s
        (named("200", "199", "7m12s"), 200 * 60 / 86400),
        (named("10000", "9000", "2h24m0s"), 10000 * 60 / 86400),
        # a minute that ends at once for all, and begins anew: what is left of it says nothing
        (named("600", "599", "59s"), 600),
        (named("600", "599", "1s"), 600),
        # so does a day; a day at most, though one used seems to take years
        (named("10000", "9999", "11h"), 10000 * 60 / 86400),
        # nothing used, nothing known of the window
        (named("3000000", "3000000", "1s"), 3_000_000),
        # a time of the clock is no duration
        (named("600", "300", "1763730000"), 600),
        # none, zero, minus one for no limit, and what is no number
        ({}, 0),
        (named("0", "0", "1s"), 0),
        (named("-1", "-1", "0"), 0),
        (named("inf", "inf", "1s"), 0),
        (named("nan", "1", "1s"), 0),
        (named("many", "1", "1s"), 0),
        (named("600", "599", "2026-11-21T10:00:00Z"), 0),
    ],
)
def test_limits_are_read_from_headers(headers: dict[str, str], a_minute: float) -> None:
    requests, tokens = limits_of(headers)
    assert requests == pytest.approx(a_minute)
    assert tokens == 0


def test_limits_of_requests_and_tokens_are_read_apart() -> None:
    headers = {**named("500", "499", "120ms"), **named("200000", "199000", "300ms", "tokens")}
    assert limits_of(headers) == (500, 200_000)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m", 3720),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("1d", 86400),
        ("1.5", 1.5),
        (" 20 ", 20),
        ("0s", 0),
        ("1m5", 65),
    ],
)
def test_durations_are_read(told: str, expected: float) -> None:
    assert seconds(told) == pytest.approx(expected)


@pytest.mark.parametrize(
    "told", ["", " ", "s", "ms", "-1s", "1x", "1.2.3s", "soon", "1s!", "²s", "2026-11-21T10:00:00Z"]
)
def test_what_is_no_duration_is_said_so(told: str) -> None:
    with pytest.raises(ValueError, match=r"duration|float"):
        seconds(told)


# -- a limit that nobody names ------------------------------------------------------------


@pytest.mark.parametrize("limit", [20, 200, 1000])
def test_a_limit_that_nobody_names_is_found_by_its_refusals(limit: int) -> None:
    run = Run(40.0).of(Pace(), Bucket(limit, limit).takes, Speed())
    assert run.rate(5, 40) >= 0.97 * limit
    later = sum(when >= 5 for when in run.refused)
    assert later < 0.35 * limit * 35


@pytest.mark.parametrize("share", [0.01, 0.05, 0.15])
def test_refusals_by_bad_luck_do_not_slow_it_down(share: float) -> None:
    chance = random.Random(3)
    run = Run(120.0).of(Pace(), lambda units, now: chance.random() > share, Speed())
    # 64 workers and 50 ms: 1,280 a second, less what the refusals take
    assert run.rate(0, 10) > 1100
    assert run.rate(60, 120) > 1100


def test_after_a_block_it_is_soon_as_fast_as_before() -> None:
    bucket = Bucket(200, 200)
    run = Run(70.0).of(
        Pace(), lambda units, now: not 20 <= now < 40 and bucket.takes(units, now), Speed()
    )
    assert run.rate(5, 20) > 195
    assert sum(25 <= when < 40 for when in run.refused) < 15 * 100
    assert run.rate(60, 70) > 190


def test_a_rate_is_cut_at_most_once_a_second_and_never_to_nothing() -> None:
    pace = Pace(6000)
    pace.cut(10.0, 100.0, 10.0)
    assert pace.rate == pytest.approx(30)
    pace.cut(5.0, 30.0, 10.5)
    assert pace.rate == pytest.approx(30)
    for second in range(11, 200):
        pace.cut(0.0, 0.0, float(second))
    assert pace.rate == pytest.approx(1 / 60)
    assert math.isfinite(pace.wait(1, 200.0))


def test_a_few_refusals_say_nothing_yet() -> None:
    speed = Speed()
    for number in range(9):
        speed.count(100.0 + number)
    assert speed.refuse(109.0) is None
    speed.count(109.5)
    assert speed.refuse(109.5) is None  # two of ten
    found = speed.refuse(109.6)
    assert found == pytest.approx((7 / 9.6, 10 / 9.6))
