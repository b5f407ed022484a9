"""One thread that computes while the event loop lives; one call at a time, and it can be halted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

Made = TypeVar("Made")


class Halted(Exception):
    """Nobody waits for the result any more."""


class Worker:
    """A thread of its own. A call that is cancelled stops between two tokens, not at its end."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[[Event], Made]) -> Made:
        """Do ``work`` after what was asked before it; the event says that it should give up."""
        halt = Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, halt)
        except asyncio.CancelledError:
            halt.set()
            raise


class Stop:
    """transformers' stopping criterion: every row ends once the event is set."""

    def __init__(self, halt: Event) -> None:
        self.halt = halt

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return input_ids.new_full((input_ids.shape[0],), self.halt.is_set()).bool()

    def check(self) -> None:
        """Raise Halted where nobody waits any more."""
        if self.halt.is_set():
            raise Halted
