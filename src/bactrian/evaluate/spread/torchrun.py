"""A crew of the processes that torchrun started: the first gives out work, and does some itself.

They meet in torchrun's own store, a letter box each. There are no collective calls in which one
would wait for another that is gone: torchrun ends the others where one dies.
"""

from __future__ import annotations

import pickle
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from bactrian.cluster import Refused
from bactrian.errors import BactrianError, RunError
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.spread.crew import AT_ONCE, Computed, Done, Unit
from bactrian.evaluate.spread.worker import Opened, agree, compute, load, opened_of, refused
from bactrian.processes import Processes, join
from bactrian.recipe import Recipe

TURN_SECONDS = 0.02
FOR_EVER = timedelta(days=365)
WORD = "word"
BEGIN, END = b"begin", b"end"


@dataclass(slots=True)
class Other:
    """Another process, as the first sees it."""

    rank: int
    opened: bool = False
    sent: int = 0
    """Letters that it was sent so far."""
    held: deque[tuple[str, Unit]] = field(default_factory=deque)
    """Units that it holds, oldest first, with the place of the answer."""


class Several:
    """The crew as the first process sees it, which is one of it."""

    def __init__(self, ready: Scorers, line: Any, world: int) -> None:
        self.ready = ready
        self.line = line
        self.here = opened_of(ready)
        self.others = [Other(rank) for rank in range(1, world)]

    def done(self, units: Iterable[Unit]) -> Iterator[Done]:
        """Yield every unit once, as they end; see ``Crew``."""
        feed = iter(units)
        while True:
            for other in self.others:
                while self._is_open(other) and len(other.held) < AT_ONCE:
                    if (unit := next(feed, None)) is None:
                        break
                    self._send(other, unit)
            if (mine := next(feed, None)) is not None:
                found = _told(compute(self.ready, mine.work, mine.told))
                yield Done(mine, found.result, found.seconds)
            elif not any(other.held for other in self.others):
                return
            else:
                time.sleep(TURN_SECONDS)
            for other in self.others:
                yield from self._received(other)

    def end(self) -> None:
        """Let the others go."""
        for other in self.others:
            self.line.set(f"{other.rank} do {other.sent}", END)

    def _send(self, other: Other, unit: Unit) -> None:
        self.line.set(f"{other.rank} do {other.sent}", pickle.dumps((unit.work, unit.told)))
        other.held.append((f"{other.rank} did {other.sent}", unit))
        other.sent += 1

    def _received(self, other: Other) -> Iterator[Done]:
        """Yield what another process has done, in the order in which it was asked."""
        while other.held and self.line.check([other.held[0][0]]):
            place, unit = other.held.popleft()
            found = _told(self._taken(place))
            yield Done(unit, found.result, found.seconds)

    def _is_open(self, other: Other) -> bool:
        """Whether another process has loaded the base; raises where it is not like this one's."""
        place = f"{other.rank} opened"
        if not other.opened and self.line.check([place]):
            found: Opened | Refused = self._taken(place)
            if isinstance(found, Refused):
                raise found.error()
            agree(self.here, found)
            other.opened = True
        return other.opened

    def _taken(self, place: str) -> Any:
        found = pickle.loads(self.line.get(place))
        self.line.delete_key(place)
        return found


def serve(recipe: Recipe, adapters: Mapping[str, Path], found: Processes, line: Any) -> None:
    """Be one of the others: load what the first one loads, and do what it says until the end.

    Returns at once where the first one has nothing to compute.
    """
    line.wait([WORD], FOR_EVER)
    if line.get(WORD) == END:
        return
    join()
    rank = found.rank
    try:
        ready, opened = load(recipe, adapters)
    except BactrianError as error:
        line.set(f"{rank} opened", pickle.dumps(refused(error)))
        raise
    line.set(f"{rank} opened", pickle.dumps(opened))
    number = 0
    while True:
        line.wait([f"{rank} do {number}"], FOR_EVER)
        letter = line.get(f"{rank} do {number}")
        if letter == END:
            return
        line.delete_key(f"{rank} do {number}")
        work, told = pickle.loads(letter)
        line.set(f"{rank} did {number}", pickle.dumps(compute(ready, work, told)))
        number += 1


@contextmanager
def with_a_last_word() -> Iterator[None]:
    """Raise RunError where torchrun ends this process, as it does when another one has died."""
    if current_thread() is not main_thread():
        yield
        return

    def ended(*_: Any) -> None:
        raise RunError(
            "another process of this evaluation has ended, and torchrun ends this one",
            "what that one said is above; the same command goes on from what is scored",
        )

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _told(found: Computed | Refused) -> Computed:
    if isinstance(found, Refused):
        raise found.error()
    return found
