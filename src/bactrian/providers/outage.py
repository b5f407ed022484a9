"""Tells a provider that is gone from one that stumbles, so that no run burns through its retries.

A stumble is asked again and again; where nothing at all comes back the run ends, with all safe.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bactrian.errors import ProviderError
from bactrian.providers import Again, Answer, NoAnswer, Outcome

UNREACHED = 8
"""Failed calls with never an answer before them: the address or the network is wrong."""
SILENT_SECONDS = 120.0
SILENT_CALLS = 20
REFUSALS = 20
"""Requests that were refused for what is in them, with never an answer: it is the settings."""
GONE = frozenset({"network", "server", "malformed"})
"""What says that nobody is there, or somebody else."""


class Outage:
    """What has happened since the last answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered = False
        self._since: float | None = None
        self._failed = 0
        self._refusals = 0

    @property
    def likely(self) -> bool:
        """Nothing has come back for a while: no time to begin with something new."""
        return self._failed >= SILENT_CALLS

    def over(self) -> None:
        """An answer came."""
        self.answered = True
        self._since = None
        self._failed = 0

    def after(self, outcomes: Sequence[Outcome]) -> ProviderError | None:
        """Take note of one call; return what ends the run when there is no point in going on.

        Not raised: others of its requests may have been answered.
        """
        if any(isinstance(outcome, Answer) for outcome in outcomes):
            self.over()
            return None
        if (refused := self._refused(outcomes)) is not None:
            return refused
        failed = (one for one in outcomes if isinstance(one, Again) and one.why in GONE)
        try:
            if (outcome := next(failed, None)) is not None:
                self.note(outcome)
        except ProviderError as error:
            return error
        return None

    def _refused(self, outcomes: Sequence[Outcome]) -> ProviderError | None:
        """A setting that the server does not take refuses every row, one by one."""
        why = next((one.why for one in outcomes if isinstance(one, NoAnswer)), "")
        if self.answered or not why.startswith("HTTP 4"):
            return None
        self._refusals += 1
        if self._refusals < REFUSALS:
            return None
        return ProviderError(
            f"{self.name} refuses every request: {why}",
            "check the settings and options in the recipe; nothing was answered so far",
        )

    def note(self, outcome: Again) -> None:
        """A call came to nothing; raises ProviderError when there is no point in going on."""
        if outcome.why not in GONE:
            return
        now = time.monotonic()
        self._since = self._since or now
        self._failed += 1
        if not self.answered and outcome.why != "server" and self._failed >= UNREACHED:
            cannot_be = "understood" if outcome.why == "malformed" else "reached"
            raise ProviderError(
                f"{self.name} cannot be {cannot_be}: {outcome.detail}",
                "check the network, endpoints = in the recipe, and that the server runs",
                retryable=True,
            )
        if now - self._since >= SILENT_SECONDS and self._failed >= SILENT_CALLS:
            raise ProviderError(
                f"{self.name} has not answered for {now - self._since:.0f} seconds: "
                f"{outcome.detail}",
                "run the same command again later; what was paid for is in the ledger",
                retryable=True,
            )
