"""Asks for what ledgers lack through a batch API: as ``providers.fill`` does, at half the price.

Knows jobs and time; the steps of one job are ``running``.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.ledger import Kind, Ledger
from bactrian.providers import Request
from bactrian.providers.anthropic import AnthropicChat
from bactrian.providers.batches import Dialect, Options
from bactrian.providers.batches.anthropic import AnthropicBatches
from bactrian.providers.batches.openai import OpenAIBatches
from bactrian.providers.batches.room import Room
from bactrian.providers.batches.running import Job, Running
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled
from bactrian.providers.terms import Terms

USUAL = Options()
FIRST_SECONDS = 1.0
GROWS = 1.5


def fill_by_batch(
    ledger: Ledger,
    requests: Iterable[Request],
    provider: Any,
    kind: Kind,
    *,
    terms: Terms,
    task: str,
    total: int | None = None,
    options: Options = USUAL,
) -> Filled:
    """Send every request whose answer the ledger lacks in batches, and wait until all are in.

    Raises what ``fill_by_batches`` raises. ``total`` is not needed: what is missing is counted
    before anything is sent.
    """
    job = Job(ledger, requests, kind, terms, task)
    ((_, filled),) = fill_by_batches([job], provider, options=options)
    return filled


def fill_by_batches(
    jobs: Sequence[Job], provider: Any, *, options: Options = USUAL
) -> Iterator[tuple[Job, Filled]]:
    """Send the requests of several ledgers side by side; yield each job when all of it is in.

    Raises ConfigError (a provider without a batch API), ProviderError, BudgetError, LedgerError,
    KeyboardInterrupt. After any of them the batches that are out run on at the provider, and the
    same call collects them; nothing is sent a second time.
    """
    with asyncio.Runner() as runner:
        work = _Work(jobs, dialect_of(provider), options)
        try:
            while (done := runner.run(work.next())) is not None:
                yield done.job, done.filled
        except KeyboardInterrupt:
            work.say_what_stays()
            raise
        finally:
            runner.run(work.close())


def dialect_of(provider: Any) -> Dialect:
    """Return the provider's batch API; a plug-in's own is what its ``batches()`` returns.

    Raises ConfigError where it has none.
    """
    if (own := getattr(provider, "batches", None)) is not None:
        found: Dialect = own()
        return found
    if isinstance(provider, OpenAIChat):
        return OpenAIBatches(provider)
    if isinstance(provider, AnthropicChat):
        return AnthropicBatches(provider)
    raise ConfigError(
        f"{provider.name} has no batch API that is known here",
        "set batch = false, or use openai or anthropic",
    )


class _Work:
    """Several jobs at one provider, looked at in turn."""

    def __init__(self, jobs: Sequence[Job], dialect: Dialect, options: Options) -> None:
        self.dialect = dialect
        self.options = options
        room = Room(options.enqueued_tokens)
        self.jobs = [Running(job, dialect, room, options) for job in jobs]
        self.waiting = list(self.jobs)
        self.pause = FIRST_SECONDS

    async def next(self) -> Running | None:
        """Return the next job that is over, or None when all are."""
        async with self._interruptible():
            while self.waiting:
                moved = False
                for one in self.waiting:
                    moved |= await one.step()
                    if one.over:
                        self.waiting.remove(one)
                        return one
                self._end_if_short()
                self.pause = min(
                    self.options.interval, FIRST_SECONDS if moved else self.pause * GROWS
                )
                await asyncio.sleep(self.pause)
        return None

    def _end_if_short(self) -> None:
        """Raise BudgetError where money stops a job and nothing is out that could set any free."""
        for short in (one for one in self.waiting if one.sending.short):
            budget = short.job.terms.budget
            if not any(one.out for one in self.jobs if one.job.terms.budget is budget):
                raise budget.reached()

    def say_what_stays(self) -> None:
        """Tell what runs on at the provider."""
        out = [batch for one in self.jobs for batch in one.out]
        if out:
            emit(
                "note",
                text=f"batches that stay with {self.dialect.name}: {len(out)}, requests in them: "
                f"{sum(batch.requests for batch in out)}; the same command collects them",
            )

    async def close(self) -> None:
        """Close the files and the connections."""
        for one in self.jobs:
            one.batches.close()
        await self.dialect.close()

    @asynccontextmanager
    async def _interruptible(self) -> AsyncIterator[None]:
        """Ctrl-C: leave, but let a batch that is being made be written down. Twice: at once."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        stopping = False

        def interrupt() -> None:
            nonlocal stopping
            if stopping or not any(one.sending.creating for one in self.jobs):
                task.cancel()
            elif not stopping:
                loop.create_task(self._cancel_when_made(task))
            stopping = True

        own = threading.current_thread() is threading.main_thread()
        if own:
            with suppress(NotImplementedError, ValueError):
                loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        except asyncio.CancelledError:
            if stopping:
                raise KeyboardInterrupt from None
            raise
        finally:
            if own:
                with suppress(NotImplementedError, ValueError):
                    loop.remove_signal_handler(signal.SIGINT)

    async def _cancel_when_made(self, task: asyncio.Task[Any]) -> None:
        while any(one.sending.creating for one in self.jobs):
            await asyncio.sleep(0.01)
        task.cancel()
