"""How far a fill is. Knows counts; nothing of requests, providers or money but its sum."""

from __future__ import annotations

import time

from bactrian.events import emit
from bactrian.providers import Reason

PROGRESS_SECONDS = 0.2


class Progress:
    """What was done so far, told a few times a second."""

    def __init__(self, task: str, total: int | None) -> None:
        self.task = task
        self.total = total
        self.rows = self.unique = self.present = self.characters = 0
        self.answered = self.failed = self.charged = 0
        self.again: dict[Reason, int] = {}
        self.cost_usd = 0.0
        self._told = 0.0

    def tell(self, *, at_the_end: bool = False) -> None:
        """Emit where things stand."""
        now = time.monotonic()
        if now - self._told < PROGRESS_SECONDS and not at_the_end:
            return
        self._told = now
        open_requests = self.unique - self.present - self.answered - self.failed
        emit(
            "progress",
            task=self.task,
            done=self.rows - open_requests,
            total=self.rows if at_the_end and not open_requests else self.total,
            answered=self.answered,
            failed=self.failed,
            again=dict(self.again),
            cost_usd=round(self.cost_usd, 6),
        )
