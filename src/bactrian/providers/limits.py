"""How fast requests may go: buckets for requests and tokens that start empty-handed.

Knows nothing of HTTP or providers; all times are seconds of a monotonic clock that the caller
reads, so that a clock set back changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

SLACK = 0.05
"""Seconds of unused allowance that may be caught up on: a late timer costs no speed, and there is
no burst of a minute's worth (virtual scheduling, ITU-T I.371)."""
TOO_MANY = 0.2
"""Share of refusals that tells a limit from bad luck: below it the rate stays as it is."""
CUT, RECOVER = 0.3, 0.1
"""A limit lowers the rate to what was accepted lately, at most to so much of it, at most once a
second; it grows by a tenth in the first second after that, and faster the longer it is calm."""
CALM = 30.0
DAY = 86_400.0


class Pace:
    """At most ``a_minute`` units a minute, evenly spread; 0 means no limit is known."""

    def __init__(self, a_minute: float = 0.0) -> None:
        self.told = self.full = self.rate = a_minute / 60 or math.inf
        self._next = 0.0
        self._seen_at = 0.0
        self._cut_at = -math.inf

    def learn(self, a_minute: float) -> None:
        """Take note of the limit that the provider names now; never above what the user told."""
        self.full = min(self.told, a_minute / 60)
        self.rate = min(self.rate, self.full)

    @property
    def limited(self) -> bool:
        """Whether there is anything to wait for."""
        return self.rate != math.inf

    def delay(self, now: float) -> float:
        """Return the seconds until the next units may be taken."""
        if self.rate == math.inf:
            return 0.0
        if self.rate < self.full:
            calm = 1 + min(CALM, now - self._cut_at)
            growth = RECOVER * calm * max(0.0, now - self._seen_at)
            self.rate = min(self.full, self.rate * (1 + min(1.0, growth)))
            if self.rate > 1e6:
                self.rate = math.inf
                return 0.0
            self._seen_at = now
        return max(0.0, self._next - now)

    def take(self, units: float, now: float) -> None:
        """Use ``units``: those after them wait the longer."""
        if self.rate != math.inf:
            self._seen_at = now
            self._next = max(self._next, now - SLACK) + units / self.rate

    def wait(self, units: float, now: float) -> float:
        """Take ``units`` in advance and return the seconds to wait before they may be used."""
        delay = self.delay(now)
        self.take(units, now)
        return delay

    def give_back(self, units: float) -> None:
        """Return units that were taken and not used (negative: more were used)."""
        if self.limited:
            self._next -= units / self.rate

    def cut(self, accepted: float, sent: float, now: float) -> None:
        """Lower the rate to what was accepted a second of what was sent a second."""
        if now - self._cut_at < 1:
            return
        self._cut_at = self._seen_at = now
        self.rate = max(1 / 60, min(self.rate, max(accepted, CUT * min(self.rate, sent))))
        self._next = max(self._next, now)


class Speed:
    """How many went a second, lately, and how many of them were refused."""

    SECONDS, ENOUGH = 1.0, 10
    """As long as it is looked back, and as many requests as it takes to say anything."""

    def __init__(self) -> None:
        self._begun = -math.inf
        self._sent = self._refused = 0

    def count(self, now: float) -> None:
        """One more went."""
        if now - self._begun > self.SECONDS and (self._sent >= self.ENOUGH or not self._sent):
            self._begun, self._sent, self._refused = now, 0, 0
        self._sent += 1

    def refuse(self, now: float) -> tuple[float, float] | None:
        """One was refused; return (accepted, sent) a second where that shows a limit."""
        self._refused += 1
        seconds = now - self._begun
        few = self._sent < self.ENOUGH or seconds < self.SECONDS / 2
        if few or self._refused <= TOO_MANY * self._sent:
            return None
        return max(0, self._sent - self._refused) / seconds, self._sent / seconds


def limits_of(headers: Mapping[str, str]) -> tuple[float, float]:
    """Return (requests, tokens) a minute as the rate-limit headers name them; 0 where silent.

    The window is a minute unless what was used takes longer than that to come back: then it is as
    long as the part that was used says, a day at most.
    """
    return _limit(headers, "requests"), _limit(headers, "tokens")


def _limit(headers: Mapping[str, str], what: str) -> float:
    try:
        if (own := headers.get(f"anthropic-ratelimit-{what}-limit")) is not None:
            return max(0.0, float(own))  # documented as one a minute
        limit = float(headers[f"x-ratelimit-limit-{what}"])
        left = float(headers[f"x-ratelimit-remaining-{what}"])
        reset = seconds(headers[f"x-ratelimit-reset-{what}"])
    except (KeyError, ValueError):
        return 0.0
    if not 0 < limit < math.inf:  # some say -1 where there is none
        return 0.0
    used = limit - left
    is_longer = used >= 1 and 60 < reset <= DAY
    return limit * 60 / (min(DAY, max(60.0, limit * reset / used)) if is_longer else 60.0)


def seconds(told: str) -> float:
    """Return the seconds of ``1s``, ``6m0s``, ``120ms``, ``1h2m`` or ``1.5``; ValueError else."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    total, number, rest = 0.0, "", told.strip()
    if not rest:
        raise ValueError("no duration")
    while rest:
        if rest[0].isdigit() or rest[0] == ".":
            number, rest = number + rest[0], rest[1:]
            continue
        unit = "ms" if rest.startswith("ms") else rest[0]
        total += float(number) * units.get(unit, math.nan)
        number, rest = "", rest[len(unit) :]
    if math.isnan(total):
        raise ValueError(f"no duration: {told}")
    return total + float(number or 0)
