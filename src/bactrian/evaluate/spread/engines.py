"""Opens a crew for an evaluation: on a Ray cluster, or of the processes that torchrun started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bactrian.cluster import Cluster, connect
from bactrian.errors import ConfigError
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.tasks.finding import tasks
from bactrian.events import emit
from bactrian.models.base import of, place_of
from bactrian.processes import Processes, join, shared_store
from bactrian.workspace import Workspace

Engine = Callable[[Workspace, Mapping[str, Path]], AbstractContextManager[Scorers]]
"""Gives what scores under the base and adapters (name to folder), for the length of a block."""


def over_ray(told: Cluster, count: int = 0, *, find_gpus: bool = False) -> Engine:
    """Return an engine of ``count`` actors on a cluster; 0 is as many as there is room for.

    With ``find_gpus`` each has a GPU where the cluster has any, whatever is told. Nothing is asked
    of the cluster before the block. Raises ConfigError for a task that needs the model in this
    process, MissingExtra, ProviderError and RunError as the cluster has it.
    """

    @contextmanager
    def engine(workspace: Workspace, adapters: Mapping[str, Path]) -> Iterator[Scorers]:
        _spreadable(workspace)
        location = place_of(workspace.recipe)
        own = connect(told.address)
        import ray

        from bactrian.evaluate.spread.actors import Actors
        from bactrian.evaluate.spread.unloaded import unloaded

        crew = None
        try:
            gpus = ray.cluster_resources().get("GPU", 0) > 0
            cluster = replace(told, num_gpus=float(gpus)) if find_gpus else told
            _say(wanted := count or room(cluster), cluster)
            crew = Actors(_maker(workspace, adapters, cluster), wanted, cluster)
            ready, here = unloaded(location, adapters, crew.open(), crew)
            crew.hold_to(here)
            yield ready
        finally:
            if crew is not None:
                crew.end()
            if own:
                ray.shutdown()

    return engine


@contextmanager
def over_processes(found: Processes) -> Iterator[Engine]:
    """Give the engine of the first of torchrun's processes; the others ``work`` beside it.

    They are let go where nothing has to be computed.
    """
    from bactrian.evaluate.spread import torchrun

    line = shared_store("eval")
    begun = []

    @contextmanager
    def engine(workspace: Workspace, adapters: Mapping[str, Path]) -> Iterator[Scorers]:
        begun.append(line.set(torchrun.WORD, torchrun.BEGIN))
        emit("decision", text=f"{found.world} processes share the work, this one writes")
        with torchrun.with_a_last_word():
            join()
            ready = scorers(of(workspace.recipe), adapters)
            crew = torchrun.Several(ready, line, found.world)
            try:
                yield replace(ready, crew=crew)
            finally:
                crew.end()
                ready.detach()

    yield engine
    if not begun:
        line.set(torchrun.WORD, torchrun.END)


def work(workspace: Workspace, adapters: Mapping[str, Path], found: Processes) -> None:
    """Be one of torchrun's processes beyond the first: compute what that one gives out."""
    from bactrian.evaluate.spread import torchrun

    torchrun.serve(workspace.recipe, adapters, found, shared_store("eval"))


def room(cluster: Cluster) -> int:
    """Return how many actors the cluster has room for, at least one."""
    import ray

    fit = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            wanted = {"CPU": cluster.num_cpus, "GPU": cluster.num_gpus}
            fit += min(int(has.get(name, 0.0) // each) for name, each in wanted.items() if each)
    return max(1, fit)


def _maker(
    workspace: Workspace, adapters: Mapping[str, Path], cluster: Cluster
) -> Callable[[], Any]:
    """Return what makes one more actor."""
    import ray

    from bactrian.evaluate.spread.actors import Computing

    folders = {name: folder.absolute() for name, folder in adapters.items()}
    remote = ray.remote(Computing).options(
        num_cpus=cluster.num_cpus,
        num_gpus=cluster.num_gpus,
        max_restarts=0,  # a fresh one has another handle, so that what it holds is known
        scheduling_strategy="SPREAD",
    )
    return lambda: remote.remote(workspace.recipe, folders, cluster.threads, Path.cwd())


def _say(count: int, cluster: Cluster) -> None:
    """Say who computes, and warn of GPUs that nobody asks for."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    emit(
        "decision",
        text=f"{count} worker{'s' if count > 1 else ''} on a cluster of {len(nodes)} node"
        f"{'s' if len(nodes) > 1 else ''}, {cluster.num_cpus:g} CPU and {cluster.num_gpus:g} GPU "
        "each",
    )
    if (gpus := ray.cluster_resources().get("GPU", 0)) and not cluster.num_gpus:
        emit("warning", text=f"the cluster has {gpus:g} GPUs, no worker has one: --num-gpus 1")


def _spreadable(workspace: Workspace) -> None:
    for task in tasks(workspace):
        if getattr(task, "needs_model", False):
            raise ConfigError(
                f"{task.name} asks for more than options, and lm-eval asks a model here for it",
                "leave it out, or measure it without --engine ray",
            )
