"""Independent trainings, one an adapter: in turn on this machine, or over a Ray cluster.

One that fails does not stop the others; one whose worker dies is begun again and goes on from its
last checkpoint, as the project lies on storage that all nodes share. Knows nothing of a terminal.
"""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from bactrian import runs
from bactrian.cluster import Cluster, connect, first_line
from bactrian.errors import BactrianError
from bactrian.events import emit
from bactrian.files import locked
from bactrian.models.adapters import facts_of
from bactrian.models.base import of, place_of
from bactrian.recipe import Recipe
from bactrian.train.processes import processes
from bactrian.train.run import Trained, train, wanted_of
from bactrian.workspace import Workspace

__all__ = ["ADAPTERS", "Apart", "Cluster", "Failed", "in_turn", "over_ray", "tell", "train_here"]

TURN_SECONDS = 1.0
ADAPTERS = "adapters"
"""What progress is told of, beside that of each training."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A training that ended without an adapter."""

    name: str
    problem: str
    hint: str
    trace: str = ""
    """The traceback where it is a bug of ours."""


class Apart(Workspace):
    """The same project, in which each adapter is trained in a folder of its own.

    A training holds the folder that its adapter lies in: here several can go on beside one another.
    """

    __slots__ = ()

    def adapter(self, name: str) -> Path:
        """The PEFT folder of one adapter, until it is put where it belongs."""
        return self.root / "adapters" / ".each" / name / name

    def model(self, name: str) -> Path:
        """A base of its own, until it is put where it belongs."""
        return self.root / "models" / ".each" / name / name


def in_turn(workspace: Workspace, names: Sequence[str]) -> Iterator[Trained | Failed]:
    """Train the adapters one after the other over one loaded base; yield each as it ends."""
    base = cache(partial(of, workspace.recipe))
    tell(0, names)
    for done, name in enumerate(names, start=1):
        call = partial(train, workspace, name, base)
        # of several processes each would have to know that another one has failed
        yield call() if processes().world > 1 else _tried(call, name)
        tell(done, names)


def over_ray(
    workspace: Workspace, names: Sequence[str], cluster: Cluster
) -> Iterator[Trained | Failed]:
    """Train each adapter as a task of a Ray cluster; yield each as it ends, in any order.

    Raises MissingExtra without Ray, ProviderError where the cluster cannot be joined, RunError
    where another process trains in this project.
    """
    left = []
    for name in names:
        found = _ended(workspace, name)
        if found is None:
            left.append(name)
        else:
            yield found
    tell(len(names) - len(left), names)
    if not left:
        return
    with locked(workspace.adapter("any").parent):
        own = connect(cluster.address)
        import ray

        try:
            _say(left, cluster)
            for one in _asked(workspace, left, cluster):
                yield one
                left.remove(one.name)
                tell(len(names) - len(left), names)
        finally:
            if own:
                ray.shutdown()


def train_here(
    project: tuple[Path, Recipe, Path], name: str, threads: int, folder: Path
) -> Trained | Failed:
    """Train one adapter in this process, a worker of the cluster, and put it where it belongs.

    ``project`` are root, recipe and the recipe's folder; relative paths begin at ``folder``.
    """
    import torch

    torch.set_num_threads(threads)
    with suppress(OSError):
        os.chdir(folder)
    workspace = Workspace(*project)
    return _tried(partial(_put_in_place, workspace, name), name)


def _ended(workspace: Workspace, name: str) -> Trained | Failed | None:
    """Return an adapter that is there already, or why it cannot be; None where it is to be made."""
    try:
        wanted = wanted_of(workspace, name, place_of(workspace.recipe))
        facts = facts_of(wanted.folder) if wanted.folder.is_dir() else None
    except BactrianError as error:
        return Failed(name, error.problem, error.hint)
    there = facts is not None and facts.made_from == wanted.made_from
    return _tried(partial(train, workspace, name), name) if there else None


def _put_in_place(workspace: Workspace, name: str) -> Trained:
    whole = workspace.recipe.train.adapter == "none"
    place = workspace.model(name) if whole else workspace.adapter(name)
    apart = Apart(workspace.root, workspace.recipe, workspace.recipe_folder)
    command = ["bactrian", "train", str(workspace.root), name]
    with runs.run(workspace.runs, "train", workspace.recipe, command):
        done = train(apart, name)
    if place.exists():
        shutil.rmtree(place)
    done.folder.rename(place)
    shutil.rmtree(done.folder.parent, ignore_errors=True)
    return replace(done, folder=place, fresh=True)


def _tried(call: partial[Trained], name: str) -> Trained | Failed:
    """Return the adapter, or why there is none; only what the user does ends all of them."""
    try:
        return call()
    except BactrianError as error:
        return Failed(name, error.problem, error.hint)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        return Failed(
            name,
            f"{type(error).__name__}: {said}",
            "this is a bug in bactrian: please report it with the lines above",
            traceback.format_exc(),
        )


def _asked(
    workspace: Workspace, names: Sequence[str], cluster: Cluster
) -> Iterator[Trained | Failed]:
    """Ask the cluster for every adapter, and yield them as they end; what is left is cancelled."""
    import ray
    from ray.exceptions import RayError

    remote = ray.remote(
        num_cpus=cluster.num_cpus,
        num_gpus=cluster.num_gpus,
        max_retries=cluster.restarts,
        max_calls=1,  # a fresh process each: what the last one left in memory is gone
        scheduling_strategy="SPREAD",
    )(train_here)
    project = (workspace.root.absolute(), workspace.recipe, workspace.recipe_folder.absolute())
    threads, here = cluster.threads, Path.cwd()
    waiting = {remote.remote(project, name, threads, here): name for name in names}
    try:
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=1, timeout=TURN_SECONDS)
            for one in ended:
                name = waiting.pop(one)
                try:
                    found: Trained | Failed = ray.get(one)
                except RayError as error:
                    found = _died(name, error)
                yield found
    finally:
        for left in waiting:
            ray.cancel(left, force=True)


def _died(name: str, error: Exception) -> Failed:
    return Failed(
        name,
        f"its worker died again and again: {first_line(error)}",
        "see the logs of Ray's workers; a model that does not fit into memory is the likeliest "
        "cause (bactrian train --dry-run tells what it takes)",
    )


def _say(names: Sequence[str], cluster: Cluster) -> None:
    """Say where the trainings go, and warn where no node has what one of them wants."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each = f"{cluster.num_cpus:g} CPU and {cluster.num_gpus:g} GPU"
    emit(
        "decision",
        text=f"{len(names)} trainings on a cluster of {len(nodes)} node"
        f"{'s' if len(nodes) > 1 else ''}, {each} each",
    )
    if not any(
        node.get("CPU", 0) >= cluster.num_cpus and node.get("GPU", 0) >= cluster.num_gpus
        for node in nodes
    ):
        emit("warning", text=f"no node has {each}: the trainings wait until one joins")


def tell(done: int, names: Sequence[str]) -> None:
    """Tell how many of several adapters are done."""
    if len(names) > 1:
        emit("progress", task=ADAPTERS, done=done, total=len(names))
