"""Independent trainings: one that fails, one that is killed, and the same bits over a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.events import Event, reading
from bactrian.models.adapters import WEIGHTS
from bactrian.models.base import of
from bactrian.runs import every_run
from bactrian.workspace import Workspace

# before Ray is imported: everything on the loopback, and nothing is reported to anybody
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.train import each  # noqa: E402
from bactrian.train.each import Cluster, Failed, in_turn, over_ray  # noqa: E402
from bactrian.train.run import Trained, train  # noqa: E402

MakeWorkspace = Callable[..., Workspace]
BOTH = 'train.adapters={zh = "zh", vi = "vi"}'
SECONDS = 200.0


class Seen:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def done(self) -> list[int]:
        """Return how many adapters were told to be done, in order."""
        progress = [one.facts for one in self.events if one.kind == "progress"]
        return [facts["done"] for facts in progress if facts["task"] == each.ADAPTERS]


def test_one_that_fails_does_not_stop_the_others(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi", BOTH, "train.max_steps=2")
    workspace.split("zh", "train").unlink()
    with reading(seen := Seen()):
        found = list(in_turn(workspace, ["zh", "vi"]))
    failed, done = found
    assert isinstance(failed, Failed)
    assert "does not exist" in failed.problem and not failed.trace
    assert isinstance(done, Trained) and done.fresh
    assert seen.done() == [0, 1, 2]
    again = list(in_turn(workspace, ["vi"]))
    assert [one.fresh for one in again if isinstance(one, Trained)] == [False]


def test_a_bug_keeps_its_traceback(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Workspace, name: str, *__: Any) -> Trained:
        raise ZeroDivisionError(name)

    monkeypatch.setattr(each, "train", broken)
    found = list(in_turn(make_workspace("zh,vi", BOTH), ["zh", "vi"]))
    assert all(isinstance(one, Failed) and "in broken" in one.trace for one in found)


def test_what_the_user_stops_is_stopped(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> Trained:
        raise KeyboardInterrupt

    monkeypatch.setattr(each, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(in_turn(make_workspace("zh,vi", BOTH), ["zh", "vi"]))


def test_the_base_is_loaded_once(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def counted(recipe: Any) -> Any:
        loaded.append(recipe)
        return of(recipe)

    monkeypatch.setattr(each, "of", counted)
    workspace = make_workspace("zh,vi", BOTH, "train.max_steps=1")
    first = list(in_turn(workspace, ["zh", "vi"]))
    assert len(loaded) == 1
    alone = train(
        make_workspace("zh,vi", BOTH, "train.max_steps=1", root=workspace.root / "b"), "vi"
    )
    assert isinstance(first[1], Trained)
    assert weights(first[1].folder) == weights(alone.folder), "the one before leaves no trace"


def test_a_cluster_of_no_meaning_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 CPU"):
        Cluster(num_cpus=0)


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two nodes of one processor each."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster as Nodes

    one = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    made = Nodes(initialize_head=True, head_node_args={**one, "include_dashboard": False})
    made.add_node(**one)
    yield made.address
    ray.shutdown()
    made.shutdown()


def kill_one(workspace: Workspace, name: str, killed: list[int]) -> None:
    """Kill the worker that trains an adapter once it has a checkpoint."""
    until = time.monotonic() + SECONDS
    where = workspace.root / "adapters" / ".each" / name / f".{name}.training"
    while not list(where.glob("*/checkpoint-*/whole")) and time.monotonic() < until:
        time.sleep(0.01)
    for run in every_run(workspace.runs):
        if run.status.state == "running" and (run.path / "command.txt").read_text().split()[-1] == (
            name
        ):
            os.kill(run.status.pid, signal.SIGKILL)
            killed.append(run.status.pid)


@pytest.mark.slow
def test_the_cluster_makes_the_same_bits_though_a_worker_is_killed(
    make_workspace: MakeWorkspace, address: str, tmp_path: Path
) -> None:
    told = (BOTH, "train.epochs=4", "train.save_steps=1")
    workspace = make_workspace("zh,vi", *told, root=tmp_path / "ray")
    killed: list[int] = []
    threading.Thread(target=kill_one, args=(workspace, "vi", killed), daemon=True).start()
    with reading(seen := Seen()):
        found = {one.name: one for one in over_ray(workspace, ["zh", "vi"], Cluster(address))}
    assert all(isinstance(one, Trained) and one.fresh for one in found.values()), found
    assert killed, "the training was over before it could be killed"
    assert seen.done() == [0, 1, 2]
    states = sorted(run.status.state for run in every_run(workspace.runs))
    assert states == ["done", "done", "killed"]
    assert not (workspace.root / "adapters" / ".each" / "vi").exists()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = list(in_turn(make_workspace("zh,vi", *told, root=tmp_path / "here"), ["zh", "vi"]))
    finally:
        torch.set_num_threads(threads)
    for one in here:
        assert isinstance(one, Trained)
        assert weights(one.folder) == weights(workspace.adapter(one.name)), one.name

    again = list(over_ray(workspace, ["zh", "vi"], Cluster("127.0.0.1:1")))  # nobody is asked
    assert [one.fresh for one in again if isinstance(one, Trained)] == [False, False]


def test_nobody_is_asked_for_what_cannot_be_trained(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi", BOTH)
    for code in ("zh", "vi"):
        workspace.split(code, "train").unlink()
    ended = list(over_ray(workspace, ["zh", "vi"], Cluster("127.0.0.1:1")))
    assert [one.name for one in ended if isinstance(one, Failed)] == ["zh", "vi"]
