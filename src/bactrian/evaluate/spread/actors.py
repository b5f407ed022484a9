"""A crew of actors on a Ray cluster. One that dies costs nothing but time.

What it was given is given to another, and a fresh actor takes its place. Results come back here:
no storage is shared for them.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.cluster import Cluster, Refused, first_line
from bactrian.errors import BactrianError, RunError
from bactrian.evaluate.spread.crew import AT_ONCE, Computed, Done, Unit, Work
from bactrian.evaluate.spread.worker import Opened, agree, compute, load, refused
from bactrian.events import emit
from bactrian.recipe import Recipe

TURN_SECONDS = 0.5
START_SECONDS = 600.0
"""For which no actor finds a place before the run ends."""
DEATHS = 8
"""Actors that may die in a row with nothing computed in between."""


class Computing:
    """What runs on a node. Making it takes no time; ``open`` loads the weights."""

    def __init__(
        self, recipe: Recipe, adapters: Mapping[str, Path], threads: int, folder: Path
    ) -> None:
        self.recipe = recipe
        self.adapters = adapters
        self.threads = threads
        self.folder = folder
        self.ready: Any = None

    def place(self) -> int:
        """Return the process id: it has found a place."""
        return os.getpid()

    def open(self) -> Opened | Refused:
        """Load the base and the adapters; relative paths begin at the driver's folder."""
        import torch

        torch.set_num_threads(self.threads)
        with suppress(OSError):
            os.chdir(self.folder)
        try:
            self.ready, opened = load(self.recipe, self.adapters)
        except BactrianError as error:
            return refused(error)
        return opened

    def do(self, work: Work, told: str) -> Computed | Refused:
        """Do the work."""
        return compute(self.ready, work, told)


@dataclass(slots=True)
class Actor:
    """An actor as the driver sees it."""

    handle: Any
    placing: Any
    """The reference to its process id."""
    opening: Any
    """The reference to what it says of itself."""
    opened: bool = False
    asked: int = 0
    """Units that it holds."""


@dataclass(slots=True)
class Tried:
    """A unit, and how many actors died while they held it."""

    unit: Unit
    deaths: int = 0


class Actors:
    """The crew as the driver sees it."""

    def __init__(self, made: Callable[[], Any], count: int, cluster: Cluster) -> None:
        """Begin ``count`` actors; ``made`` makes one more handle at each call."""
        self.made = made
        self.count = count
        self.cluster = cluster
        self.first: Opened | None = None
        self.deaths = 0
        self.actors = [self._fresh() for _ in range(count)]
        self._until = time.monotonic() + START_SECONDS

    def open(self) -> Opened:
        """Return what the first says of itself that is there; raises RunError without a place."""
        while self.first is None:
            self._wait([])
        return self.first

    def hold_to(self, here: Opened) -> None:
        """Have every actor say the same of itself as the files here do; raises as ``agree``."""
        agree(here, self.open())
        self.first = here

    def done(self, units: Iterable[Unit]) -> Iterator[Done]:
        """Yield every unit once, as they end; see ``Crew``."""
        feed, again, left = iter(units), deque[Tried](), True
        under_way: dict[Any, tuple[Actor, Tried]] = {}
        while True:
            while (actor := self._idlest()) is not None:
                one = again.popleft() if again else _next(feed)
                if one is None:
                    left = False
                    break
                under_way[actor.handle.do.remote(one.unit.work, one.unit.told)] = actor, one
                actor.asked += 1
            if not (left or under_way or again):
                return
            for reference in self._wait(list(under_way)):
                actor, ended = under_way.pop(reference)
                actor.asked -= 1
                found = self._result(actor, ended, reference)
                if found is None:
                    again.append(ended)
                else:
                    yield Done(ended.unit, found.result, found.seconds)

    def end(self) -> None:
        """End all actors."""
        import ray

        for actor in self.actors:
            ray.kill(actor.handle)
        self.actors = []

    def _result(self, actor: Actor, one: Tried, reference: Any) -> Computed | None:
        """Return what came back, None where the actor died; raises RunError after too many."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            found: Computed | Refused = ray.get(reference)
        except RayTaskError:  # a bug of ours: it keeps its traceback
            raise
        except RayError as error:
            one.deaths += 1
            if one.deaths > self.cluster.restarts:
                raise RunError(
                    f"{one.unit.told}: {one.deaths} workers died over it, the last: "
                    f"{first_line(error)}",
                    "memory is the likeliest cause: lower eval.batch_tokens, or give a worker more "
                    "(--num-cpus); what is scored is kept",
                ) from error
            self._replace(actor, error)
            return None
        self.deaths = 0
        if isinstance(found, Refused):
            raise found.error()
        return found

    def _wait(self, references: list[Any]) -> list[Any]:
        """Wait for a moment; return what of ``references`` ended, and welcome who has opened."""
        import ray

        opening = {actor.opening: actor for actor in self.actors if not actor.opened}
        if len(opening) == len(self.actors) and time.monotonic() > self._until:
            placed, _ = ray.wait([actor.placing for actor in self.actors], timeout=0)
            if not placed:
                raise self._no_room()
        every = [*references, *opening]
        ended, _ = ray.wait(every, num_returns=1, timeout=TURN_SECONDS)
        for reference in ended:
            if reference in opening:
                self._welcome(opening[reference])
        return [reference for reference in ended if reference not in opening]

    def _welcome(self, actor: Actor) -> None:
        """Take an actor in that is loaded; raises where it is not like the others."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            opened: Opened | Refused = ray.get(actor.opening)
        except RayTaskError:
            raise
        except RayError as error:
            self._replace(actor, error)
            return
        if isinstance(opened, Refused):
            raise opened.error()
        if self.first is None:
            self.first = opened
            for kind, text in opened.told:
                emit("warning" if kind == "warning" else "decision", text=text)
        else:
            agree(self.first, opened)
        actor.opened = True

    def _replace(self, dead: Actor, why: BaseException) -> None:
        """Put a fresh actor in the place of a dead one; raises RunError after too many."""
        if dead not in self.actors:
            return  # the other unit that it held has told already
        self.actors.remove(dead)
        self.deaths += 1
        if self.deaths > DEATHS:
            raise RunError(
                f"{self.deaths} workers died one after the other, the last: {first_line(why)}",
                "see the logs of Ray's workers; a base that does not fit into memory is the "
                "likeliest cause; what is scored is kept",
            )
        emit("warning", text=f"a worker died, its work goes to another: {first_line(why)}")
        self._until = time.monotonic() + START_SECONDS
        self.actors.append(self._fresh())

    def _fresh(self) -> Actor:
        handle = self.made()
        return Actor(handle, handle.place.remote(), handle.open.remote())

    def _idlest(self) -> Actor | None:
        """Return the loaded actor with the least to do, None where all have enough."""
        opened = [actor for actor in self.actors if actor.opened and actor.asked < AT_ONCE]
        return min(opened, key=lambda actor: actor.asked, default=None)

    def _no_room(self) -> RunError:
        import ray

        has, told = ray.cluster_resources(), self.cluster
        there = ", ".join(f"{has.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        return RunError(
            f"no worker found a place within {START_SECONDS:g} seconds: each wants "
            f"{told.num_cpus:g} CPU and {told.num_gpus:g} GPU, the cluster has {there}",
            "lower --num-cpus or --num-gpus, or add nodes (ray status shows who uses what)",
        )


def _next(feed: Iterator[Unit]) -> Tried | None:
    one = next(feed, None)
    return None if one is None else Tried(one)
