"""Ctrl-C while a loop runs: once to end in order, twice to leave. Knows nothing of requests."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def interruptible(end: Callable[[], bool]) -> AsyncIterator[None]:
    """Call ``end`` at Ctrl-C; where it returns False, since it was called before, leave at once.

    Leaving cancels the task that waits here, and raises KeyboardInterrupt.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    left = False

    def interrupt() -> None:
        nonlocal left
        if not end():
            left = True
            task.cancel()

    own = threading.current_thread() is threading.main_thread()
    if own:
        with suppress(NotImplementedError, ValueError):
            loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if left:
            raise KeyboardInterrupt from None
        raise
    finally:
        if own:
            with suppress(NotImplementedError, ValueError):
                loop.remove_signal_handler(signal.SIGINT)
