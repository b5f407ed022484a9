"""When a request is asked again, and how often. Each reason has its own cap and its own wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from bactrian.errors import ConfigError, did_you_mean
from bactrian.providers import Reason

CAPS: dict[Reason, int] = {
    "limit": 60,
    "server": 10,
    "network": 10,
    "malformed": 4,
    "empty": 3,
    "length": 1,
    "language": 1,
    "refusal": 1,
}
"""Times that a request is asked again. A limit is nobody's fault, so its cap is high; what the
checks on arrival find is paid for each time, and the last answer is kept for the later checks. Ten
tries take longer than an outage takes to be noticed (``outage``): no row is given up in one."""
KEPT: frozenset[Reason] = frozenset({"length", "language", "refusal"})
"""Reasons that come with a text: once the cap is reached it is kept, not thrown away."""


def caps(told: Mapping[str, int]) -> dict[Reason, int]:
    """Return the caps with those of the recipe; raises ConfigError for an unknown reason."""
    known = get_args(Reason)
    if unknown := sorted(told.keys() - set(known)):
        raise ConfigError(f"unknown key retries.{unknown[0]}", did_you_mean(unknown[0], known))
    return {reason: told.get(reason, cap) for reason, cap in CAPS.items()}


def backoff(tries: int, chance: float) -> float:
    """Return seconds to wait before try ``tries`` + 1 where nobody says: doubling, half random.

    ``chance`` is in [0, 1).
    """
    return min(60.0, math.ldexp(0.5, min(tries, 10))) * (0.5 + 0.5 * chance)
