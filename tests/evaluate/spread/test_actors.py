"""Actors on a Ray cluster of two nodes: the same bytes, though one is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# before Ray is imported: everything on the loopback, and nothing is reported to anybody
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.cluster import Cluster  # noqa: E402
from bactrian.errors import ConfigError  # noqa: E402
from bactrian.evaluate.engine import Scorers  # noqa: E402
from bactrian.evaluate.run import evaluate  # noqa: E402
from bactrian.evaluate.spread import ahead, engines, over_ray  # noqa: E402
from bactrian.evaluate.spread.actors import Actors  # noqa: E402
from bactrian.evaluate.store import Store  # noqa: E402
from bactrian.events import Event, reading  # noqa: E402
from bactrian.workspace import Workspace  # noqa: E402

Made = Callable[..., Workspace]
Left = Callable[[Workspace], dict[str, Any]]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two nodes of one processor each."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster as Nodes

    one = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    nodes = Nodes(initialize_head=True, head_node_args={**one, "include_dashboard": False})
    nodes.add_node(**one)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


class Killer:
    """Kills a worker that holds work, once, when the first unit is done."""

    def __init__(self) -> None:
        self.crew: Actors | None = None
        self.killed: list[int] = []
        self.heard: list[str] = []

    def see(self, event: Event) -> None:
        """Kill, and keep what is said."""
        self.heard.append(str(event.facts.get("text", "")))
        if event.kind != "progress" or self.crew is None or self.killed:
            return
        import ray

        busy = max(self.crew.actors, key=lambda actor: actor.asked)
        assert busy.asked > 0, "it has nothing to lose"
        self.killed.append(ray.get(busy.placing))
        os.kill(self.killed[0], signal.SIGKILL)

    def engine(self, cluster: Cluster) -> Any:
        """Return an engine of two actors, both of which are there before anything is asked."""

        @contextmanager
        def opened(workspace: Workspace, adapters: Mapping[str, Path]) -> Iterator[Scorers]:
            import ray

            with over_ray(cluster)(workspace, adapters) as ready:
                assert isinstance(ready.crew, Actors)
                self.crew = ready.crew
                assert len(ray.get([actor.opening for actor in self.crew.actors])) == 2
                yield ready

        return opened


@pytest.mark.slow
def test_the_cluster_leaves_the_same_bytes_though_a_worker_is_killed(
    made: Made, left: Left, alone: dict[str, Any], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "FIRST", 1)
    monkeypatch.setattr(ahead, "SECONDS", 0.0)
    spread = made("spread")
    put, rows = Store.put, Counter[tuple[str, str, int]]()

    def counted(store: Store, scorer: str, task: str, scores: Any) -> None:
        rows.update((scorer + task, one.item, one.option) for one in scores)
        put(store, scorer, task, scores)

    monkeypatch.setattr(Store, "put", counted)
    killer = Killer()
    with reading(killer):
        evaluate(spread, ["toy"], engine=killer.engine(Cluster(address)))
    assert killer.killed, "nobody was killed"
    assert any("a worker died" in text for text in killer.heard), killer.heard
    assert any("2 workers on a cluster of 2 nodes" in text for text in killer.heard)
    assert len(rows) == 104
    assert set(rows.values()) == {1}, "nothing is scored twice in the results"

    assert left(spread) == alone
    told = over_ray(Cluster("127.0.0.1:1"))  # nobody is asked for what is there
    assert not evaluate(spread, ["toy"], engine=told).fresh


def test_room_is_counted_node_by_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    assert engines.room(Cluster(num_cpus=2)) == 5
    assert engines.room(Cluster(num_gpus=1)) == 4
    assert engines.room(Cluster(num_gpus=0.5)) == 8
    assert engines.room(Cluster(num_cpus=100)) == 1, "it waits for a node"


def test_a_task_that_needs_the_model_is_refused_before_anything_is_asked(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SimpleNamespace(name="lm_eval:wikitext", needs_model=True)
    monkeypatch.setattr(engines, "tasks", lambda _: [told])
    with pytest.raises(ConfigError, match="lm_eval:wikitext asks for more than options"):
        evaluate(made("refused"), ["toy"], engine=over_ray(Cluster("127.0.0.1:1")))
