"""Asks a provider for what a ledger lacks. Resume, cache and growing data are this one call.

Knows keys and answers, not rows or languages.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from bactrian.ledger import Kind, Ledger
from bactrian.providers import Reason, Request, characters_of
from bactrian.providers.filling import Filling
from bactrian.providers.progress import Progress
from bactrian.providers.seen import Seen, looked_up
from bactrian.providers.terms import Sender, Terms


@dataclass(frozen=True, slots=True)
class Need:
    """What rows need, before anything is sent."""

    rows: int
    unique: int
    """Different requests among them: the same text is asked for once."""
    present: int
    """Of the unique ones, already in the ledger."""
    characters: int = 0
    """Code points of text in those that would be sent."""

    @property
    def missing(self) -> int:
        """Requests that would be sent."""
        return self.unique - self.present


@dataclass(frozen=True, slots=True)
class Filled:
    """What was done about it; ``need.missing == answered + failed``."""

    need: Need
    answered: int
    failed: int
    cost_usd: float
    """Of this run, with what was paid for nothing."""
    charged: int = 0
    """Attempts that were paid for without an answer that is kept."""
    again: Mapping[Reason, int] = field(default_factory=dict)
    """Attempts after the first, by reason."""


def survey(ledger: Ledger | None, requests: Iterable[Request]) -> Need:
    """Count what the requests need and what is there; sends nothing."""
    seen = Seen()
    rows = present = characters = 0
    for _, request, is_new, is_present in looked_up(requests, seen, ledger):
        rows += 1
        present += is_present
        if is_new and not is_present:
            characters += characters_of(request)
    return Need(rows, len(seen), present, characters)


def fill(
    ledger: Ledger,
    requests: Iterable[Request],
    provider: Sender,
    kind: Kind,
    *,
    terms: Terms,
    task: str,
    total: int | None = None,
) -> Filled:
    """Send every request whose answer the ledger lacks, each once, and keep what comes back.

    Raises ProviderError, BudgetError, LedgerError, KeyboardInterrupt; what was committed before is
    safe and not asked again. After any of them nothing more is sent, and what is on its way is
    waited for and kept.
    """
    progress = Progress(task, total)
    filling = Filling(ledger, provider, kind, terms, progress)
    try:
        with _rare_collections(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(filling.work(iter(requests)))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several  # the first worker's; the others were cancelled
    finally:
        ledger.flush()
    progress.tell(at_the_end=True)
    need = Need(progress.rows, progress.unique, progress.present, progress.characters)
    assert need.missing == progress.answered + progress.failed
    return Filled(
        need,
        progress.answered,
        progress.failed,
        progress.cost_usd,
        progress.charged,
        dict(progress.again),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's, where it is installed: a fifth less CPU a request."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look for cycles less often: requests make none, and 5 % of CPU."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
