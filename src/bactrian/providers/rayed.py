"""Any provider, many times over a Ray cluster: the same requests, keys and answers as one here.

The driver, which is this process, keeps the ledger and says what is asked; actors answer. One that
dies costs nothing but time: what it was asked is asked again, of a fresh one. Knows no model.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from bactrian import registry
from bactrian.cluster import Refused, connect, first_line
from bactrian.errors import BactrianError, ConfigError, ProviderError, did_you_mean
from bactrian.events import emit
from bactrian.providers import Again, Outcome, Request, Told
from bactrian.providers.here.draws import Draws
from bactrian.providers.here.worker import NOT_SENT

Kind = Literal["translators", "chats"]
USUAL: Mapping[str, Any] = {
    "actors": 1,
    "address": "",
    "num_cpus": 1.0,
    "num_gpus": 0.0,
    "resources": {},
    "restarts": 8,
    "start_seconds": 600.0,
}
"""Options of [translate.options.ray] and [respond.options.ray], see docs/providers-local.md."""
AT_ONCE = 2
"""Batches that an actor holds: one that it computes, one that waits for it to be done."""
TURN_SECONDS = 0.05


def rayed(kind: Kind, told: Told) -> Rayed:
    """Return the provider that a section names, on as many actors as its ``options.ray`` say.

    Raises ConfigError for an unknown option and what the provider itself raises. Nothing is asked
    of a cluster before the first request is sent.
    """
    given = dict(told.section.options)
    said = given.pop("ray", {})
    for name, value in said.items():
        if name not in USUAL:
            raise ConfigError(f"unknown key options.ray.{name}", did_you_mean(name, USUAL))
        kinds = (int, float) if isinstance(USUAL[name], float) else type(USUAL[name])
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ConfigError(
                f"options.ray.{name} = {value!r} is of another type than it has to be",
                f"it is {USUAL[name]!r} where nothing is said",
            )
    section = told.section.model_copy(update={"options": given})
    return Rayed(kind, Told(section, told.folder, told.price), {**USUAL, **said})


class Answering:
    """What runs on a node: one provider with its weights. Making it takes no time."""

    def __init__(self, kind: Kind, told: Told) -> None:
        self.kind = kind
        self.told = told
        self.provider: Any = None

    async def ready(self) -> int:
        """Return the process id: the actor has found a place."""
        return os.getpid()

    async def answer(
        self, requests: Sequence[Request], seeds: Sequence[int] | None
    ) -> list[Outcome] | Refused:
        """Ask the provider once."""
        try:
            if self.provider is None:
                self.provider = registry.find(self.kind, self.told.section.using)(self.told)
            self._check(requests[0])
            if seeds is None:
                return list(await self.provider.send(requests))
            return list(await self.provider.answer(requests, seeds))
        except BactrianError as error:
            return Refused(type(error).__name__, f"{error.problem} ({_node()})", error.hint)

    async def close(self) -> None:
        """End the asking."""
        if (close := getattr(self.provider, "close", None)) is not None:
            await close()

    def _check(self, request: Request) -> None:
        """Refuse to answer with other weights than the key says."""
        weights = getattr(self.provider, "weights", None)
        if weights is not None and weights.mark != request.get("weights"):
            raise ProviderError(
                f"{weights.told} has other weights here than where the run was started",
                "put the same files on every node, or name a commit: options.revision",
            )


class Actor:
    """An actor as the driver sees it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.started: Future[int] = handle.ready.remote().future()
        self.asked = 0

    @property
    def ready(self) -> bool:
        """It has found a place in the cluster."""
        return self.started.done() and self.started.exception() is None


class Rayed:
    """The same face as the provider that it spreads: ``fill`` sees no difference."""

    def __init__(self, kind: Kind, told: Told, said: Mapping[str, Any]) -> None:
        self.kind = kind
        self.told = told
        self.said = said
        # here it only says what would be asked: its weights are loaded by the actors
        self.provider = registry.find(kind, told.section.using)(told)
        self.name = str(self.provider.name)
        self.batch = int(self.provider.batch)
        self.batch_characters = int(getattr(self.provider, "batch_characters", 0))
        self.whole = bool(getattr(self.provider, "whole", False))
        self.draws = Draws() if hasattr(self.provider, "answer") else None
        self.actors: list[Actor] = []
        self.deaths = 0
        """Actors that died since the last answer."""
        self.stopped = False
        self._until = 0.0
        self._own_cluster = False

    def request(self, *asked: Any) -> Request:
        """Return what the provider itself would send."""
        request: Request = self.provider.request(*asked)
        return request

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Let one actor answer; where it dies on the way, every request may be asked again.

        Raises ProviderError where no actor can be had, or too many have died.
        """
        seeds = self.draws.seeds(requests) if self.draws else None
        actor = await self._free()
        if actor is None:
            return [NOT_SENT] * len(requests)
        outcomes = await self._asked(actor, list(requests), seeds)
        if self.draws:
            self.draws.note(requests, outcomes)
        return outcomes

    def stop(self) -> None:
        """Ask nothing more: what waits for an actor comes back unasked."""
        self.stopped = True

    async def close(self) -> None:
        """End the asking; the actors stay, with their weights, for the next one."""
        if self.actors:
            from ray.exceptions import RayError

            for actor in [actor for actor in self.actors if actor.ready]:
                try:
                    await actor.handle.close.remote()
                except RayError as error:
                    self.actors.remove(actor)
                    emit("note", text=f"an actor is gone: {first_line(error)}")
        self.stopped = False
        if self.draws:
            self.draws.forget()

    def release(self) -> None:
        """End the actors and, where it was begun here, the cluster."""
        if self.actors or self._own_cluster:
            import ray

            for actor in self.actors:
                ray.kill(actor.handle)
            self.actors = []
            if self._own_cluster:
                ray.shutdown()
                self._own_cluster = False

    async def _free(self) -> Actor | None:
        """Return an actor with room for a batch, once there is one; None after a stop."""
        if not self.actors:
            self._own_cluster = connect(str(self.said["address"])) or self._own_cluster
            self._until = time.monotonic() + self.said["start_seconds"]
            self.actors = [self._fresh() for _ in range(self._wanted())]
        while not self.stopped:
            for actor in [actor for actor in self.actors if actor.started.done()]:
                if (error := actor.started.exception()) is not None:
                    self._replace(actor, error)
            ready = [actor for actor in self.actors if actor.ready]
            if ready and (idlest := min(ready, key=lambda actor: actor.asked)).asked < AT_ONCE:
                idlest.asked += 1
                return idlest
            if not ready and time.monotonic() > self._until:
                raise self._no_room()
            await asyncio.sleep(TURN_SECONDS)
        return None

    async def _asked(
        self, actor: Actor, requests: list[Request], seeds: list[int] | None
    ) -> Sequence[Outcome]:
        from ray.exceptions import RayError, RayTaskError

        try:
            told: list[Outcome] | Refused = await actor.handle.answer.remote(requests, seeds)
        except RayTaskError:  # a bug in the provider: it keeps its traceback
            raise
        except RayError as error:
            self._replace(actor, error)
            return [Again("server", f"an actor died: {first_line(error)}")] * len(requests)
        finally:
            actor.asked -= 1
        if isinstance(told, Refused):
            raise told.error()
        self.deaths = 0
        return told

    def _fresh(self) -> Actor:
        import ray

        options = {name: self.said[name] for name in ("num_cpus", "num_gpus", "resources")}
        made = ray.remote(Answering).options(
            **options, max_restarts=0, max_concurrency=AT_ONCE, scheduling_strategy="SPREAD"
        )
        return Actor(made.remote(self.kind, self.told))

    def _replace(self, dead: Actor, why: BaseException) -> None:
        """Put a fresh actor in the place of a dead one; raises ProviderError after too many."""
        if dead not in self.actors:
            return  # its other batch has told already
        self.actors.remove(dead)
        self.deaths += 1
        if self.deaths > self.said["restarts"]:
            raise ProviderError(
                f"{self.deaths} actors died without an answer, the last: {first_line(why)}",
                "see the logs of Ray's workers; a model that does not fit into memory is the "
                "likeliest cause; what was answered is safe",
                retryable=True,
            )
        emit("warning", text=f"an actor died and is replaced: {first_line(why)}")
        self._until = time.monotonic() + self.said["start_seconds"]
        self.actors.append(self._fresh())

    def _wanted(self) -> int:
        """Return the number of actors; 0 in the recipe is as many as the cluster has room for."""
        if self.said["actors"] > 0:
            return int(self.said["actors"])
        import ray

        has = ray.cluster_resources()
        said = self.said
        each = {"CPU": said["num_cpus"], "GPU": said["num_gpus"], **said["resources"]}
        fit = [int(has.get(name, 0.0) // number) for name, number in each.items() if number]
        return max(min(fit, default=1), 1)

    def _no_room(self) -> ProviderError:
        import ray

        said, every = self.said, ray.cluster_resources()
        has = ", ".join(f"{every.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        return ProviderError(
            f"no actor found a place within {said['start_seconds']:g} seconds: each wants "
            f"{said['num_cpus']:g} CPU and {said['num_gpus']:g} GPU, the cluster has {has}",
            "lower options.ray.num_cpus or num_gpus, or add nodes (ray status shows who uses what)",
        )


def _node() -> str:
    import socket

    return f"on {socket.gethostname()}"
