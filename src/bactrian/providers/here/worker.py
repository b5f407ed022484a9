"""One thread that computes while the event loop lives; one call at a time, and it can be halted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from typing import Any, TypeVar

from bactrian.providers import Again

Made = TypeVar("Made")


NOT_SENT = Again("server", "not asked any more")
"""What becomes of requests whose turn did not come before the end."""


class Halted(Exception):
    """Nobody waits for the result any more."""


class Worker:
    """A thread of its own. A call that is cancelled stops between two tokens, not at its end."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self.stopped = False
        """Asked to end: work in batches stops after the one that it is at."""

    async def run(self, work: Callable[[Event], Made]) -> Made | None:
        """Do ``work`` after what was asked before it; None where it was stopped before its turn.

        The event that ``work`` gets is set when nobody waits for it any more.
        """
        halt = Event()

        def turn() -> Made | None:
            return None if self.stopped or halt.is_set() else work(halt)

        try:
            # in the caller's context, or what is told of the work would reach nobody
            told = copy_context().run
            return await asyncio.get_running_loop().run_in_executor(self._thread, told, turn)
        except asyncio.CancelledError:
            halt.set()
            raise

    def stop(self) -> None:
        """Begin nothing more; the batch that is being computed comes to its end."""
        self.stopped = True

    def open(self) -> None:
        """Begin anew."""
        self.stopped = False


class Stop:
    """transformers' stopping criterion: every row ends once the event is set, copies at once."""

    def __init__(self, halt: Event, rows: int | None = None) -> None:
        self.halt = halt
        self.rows = rows
        """Rows that count, from the first; None where all do."""

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        done = input_ids.new_full((input_ids.shape[0],), self.halt.is_set()).bool()
        if self.rows is not None:
            done[self.rows :] = True
        return done

    def check(self) -> None:
        """Raise Halted where nobody waits any more."""
        if self.halt.is_set():
            raise Halted
