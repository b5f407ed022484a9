"""Scores the parts of an evaluation by a crew: several parts are under way at once.

A unit is some batches of one part (a task in a language) under some models, and about as long as
every other one: whoever is done first takes the next, and nobody waits for a large language.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bactrian.evaluate.engine import Questions, Scorers, rows, tell_cut
from bactrian.evaluate.spread.crew import Crew, Done, Unit
from bactrian.evaluate.spread.works import Scoring
from bactrian.evaluate.store import Store
from bactrian.events import emit
from bactrian.models.scoring import Batch

SECONDS = 1.0
"""What a unit should take: long against its way, short against a death and the wait at the end."""
FIRST = 2048
"""Tokens of a unit while nothing is known of the pace."""
LARGEST = 1 << 16
"""Tokens that travel with one unit at most."""

Cell = tuple[Batch, tuple[str, ...]]
"""A batch, and the models that have not scored all of it."""


class Asking(Protocol):
    """A part of an evaluation."""

    @property
    def asked(self) -> Questions:
        """What is asked."""


P = TypeVar("P", bound=Asking)


class Pace:
    """How many tokens of one model one of a crew computes in the time of a unit."""

    def __init__(self) -> None:
        self.tokens = float(FIRST)

    def see(self, tokens: int, seconds: float) -> None:
        """Take a unit that ended into account: half of the pace is the newest unit's."""
        found = tokens / max(seconds, 1e-3) * SECONDS
        self.tokens = max(1.0, (self.tokens + found) / 2)


@dataclass(slots=True)
class UnderWay:
    """A part of which something may still be computed."""

    asked: Questions
    ready: Scorers
    store: Store
    cells: list[Cell]
    total: int
    """Texts under every model."""
    left: int = field(init=False)
    """Of them those that nobody has scored yet."""

    def __post_init__(self) -> None:
        self.left = sum(len(batch.requests) * len(names) for batch, names in self.cells)

    def units(self, pace: Pace) -> Iterator[Unit]:
        """Yield what is to be done, cut by the pace at the moment."""
        told = f"{self.asked.task} {self.asked.language}"
        for some in cut(self.cells, pace):
            yield Unit(Scoring(some), told, self)

    def keep(self, done: Done) -> None:
        """Commit what came back, batch by batch; raises AdapterError for what is no number."""
        work: Scoring = done.unit.work  # type: ignore[assignment]
        found = iter(done.result)
        for batch, names in work.batches:
            for name in names:
                scored = list(rows(self.asked, batch, name, next(found)))
                self.store.put(self.ready.keys[name], self.asked.key, scored)
                self.left -= len(batch.requests)
        task = f"eval {self.asked.task} {self.asked.language}"
        emit("progress", task=task, done=self.total - self.left, total=self.total)


def scored_by(
    crew: Crew, parts: Iterable[P], ready: Scorers, store: Store, budget: int
) -> Iterator[P]:
    """Yield the parts in order, each once the store has all of it.

    ``budget`` is tokens of a batch. What the store has already is not asked again. Raises what the
    parts raise, AdapterError for a model that gives no numbers, and what the crew raises.
    """
    waiting: deque[tuple[P, UnderWay]] = deque()
    pace = Pace()

    def units() -> Iterator[Unit]:
        for part in parts:
            begun = _begun(part.asked, ready, store, budget)
            waiting.append((part, begun))
            yield from begun.units(pace)

    for done in crew.done(units()):
        owner: UnderWay = done.unit.whose
        owner.keep(done)
        pace.see(_tokens(done.unit.work.batches), done.seconds)  # type: ignore[attr-defined]
        while waiting and not waiting[0][1].left:
            yield waiting.popleft()[0]
    yield from (part for part, _ in waiting)


def cut(cells: Iterable[Cell], pace: Pace) -> Iterator[tuple[Cell, ...]]:
    """Yield the cells in order, a unit at a time; one of many models is parted between models."""
    taken: list[Cell] = []
    size = travelling = 0
    for batch, names in cells:
        while names:
            room = int((pace.tokens - size) // batch.tokens)
            if taken and (room < 1 or travelling + batch.tokens > LARGEST):
                yield tuple(taken)
                taken, size, travelling = [], 0, 0
                continue
            some, names = names[: max(1, room)], names[max(1, room) :]
            taken.append((batch, some))
            size += batch.tokens * len(some)
            travelling += batch.tokens
    if taken:
        yield tuple(taken)


def _begun(asked: Questions, ready: Scorers, store: Store, budget: int) -> UnderWay:
    tell_cut(asked)
    present = {name: store.get(key, asked.key) for name, key in ready.keys.items()}
    cells = []
    for batch in ready.scorer.plan(asked.requests, budget):
        places = [asked.places[index] for index in batch.requests]
        names = tuple(n for n, found in present.items() if any(p not in found for p in places))
        if names:
            cells.append((batch, names))
    return UnderWay(asked, ready, store, cells, len(asked.requests) * len(ready.keys))


def _tokens(cells: Iterable[Cell]) -> int:
    return sum(batch.tokens * len(names) for batch, names in cells)
