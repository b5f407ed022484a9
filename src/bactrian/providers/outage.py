"""Tells a provider that is gone from one that stumbles, so that no run burns through its retries.

A stumble is asked again and again; where nothing at all comes back the run ends, with all safe.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bactrian.errors import ProviderError
from bactrian.providers import Again, Answer, Outcome

UNREACHED = 8
"""Failed calls with never an answer before them: the address or the network is wrong."""
SILENT_SECONDS = 120.0
SILENT_CALLS = 20


class Outage:
    """What has happened since the last answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered = False
        self._since: float | None = None
        self._failed = 0

    def note(self, outcomes: Sequence[Outcome]) -> ProviderError | None:
        """Take note of one call; return the error that ends the run when there is no point in it.

        It is returned, not raised: other requests of the call may have been answered.
        """
        if any(isinstance(outcome, Answer) for outcome in outcomes):
            self.answered = True
            self._since = None
            self._failed = 0
            return None
        for outcome in outcomes:
            if isinstance(outcome, Again) and outcome.why in ("network", "server", "malformed"):
                return self._failure(outcome)
        return None

    def _failure(self, outcome: Again) -> ProviderError | None:
        now = time.monotonic()
        self._since = self._since or now
        self._failed += 1
        if not self.answered and outcome.why != "server" and self._failed >= UNREACHED:
            reached = outcome.why == "malformed"
            return ProviderError(
                f"{self.name} {'cannot be understood' if reached else 'cannot be reached'}: "
                f"{outcome.detail}",
                "check the network, endpoints = in the recipe, and that the server runs",
                retryable=True,
            )
        if now - self._since >= SILENT_SECONDS and self._failed >= SILENT_CALLS:
            return ProviderError(
                f"{self.name} has not answered for {now - self._since:.0f} seconds: "
                f"{outcome.detail}",
                "run the same command again later; what was paid for is in the ledger",
                retryable=True,
            )
        return None
