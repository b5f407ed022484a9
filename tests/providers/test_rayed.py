"""Ray: two nodes on the loopback, actors that are killed, and the same bytes as without."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import tomli_w

from bactrian import languages
from bactrian.data.ask import Asked, ask
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.errors import ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, Told
from bactrian.providers.rayed import Rayed, rayed
from bactrian.recipe import Translate
from bactrian.workspace import Workspace, open_workspace

# before Ray is imported: everything on the loopback, and nothing is reported to anybody
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

ENGLISH, VIETNAMESE = languages.get("en"), languages.get("vi")
PLUG_IN = '''
"""A translator as somebody else would write it: it takes its time, and some texts are its death."""
import asyncio, os, signal
import orjson
from bactrian.errors import ProviderError
from bactrian.providers import Answer

class Slow:
    batch = 3
    whole = True

    def __init__(self, told):
        self.name = f"slow:{told.section.model}"
        self.seconds = told.section.options.get("seconds", 0.0)
        self.closed = 0

    def request(self, texts, source, target):
        return {"engine": self.name, "target": target.code, "texts": list(texts)}

    async def send(self, requests):
        await asyncio.sleep(self.seconds)
        for one in requests:
            if "poison" in one["texts"][0]:
                os.kill(os.getpid(), signal.SIGKILL)
            if "broke" in one["texts"][0]:
                raise ProviderError("no credit is left", "top it up")
            if "bug" in one["texts"][0]:
                raise ZeroDivisionError("a bug of the provider")
        return [self.reversed(one) for one in requests]

    def reversed(self, one):
        made = [text[::-1] for text in one["texts"]]
        return Answer(orjson.dumps(made).decode(), characters=sum(map(len, one["texts"])))
'''


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installed plug-in package, for this process and for those that it starts."""
    site = tmp_path_factory.mktemp("site")
    (site / "slow_plug_in.py").write_text(PLUG_IN)
    told = site / "slow_plug_in-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-plug-in\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[bactrian.translators]\nslow = slow_plug_in:Slow\n")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), before]))
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def cluster(plugged: Path) -> Iterator[str]:
    """The address of a cluster of two nodes of one processor each."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    made = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    made.add_node(**each)
    yield made.address
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def made(cluster: str, tmp_path: Path) -> Iterator[Any]:
    """Return what spreads the plug-in over the cluster; it is released at the end."""
    several: list[Rayed] = []

    def make(**said: Any) -> Rayed:
        told = {"actors": 2, "address": cluster, **said.pop("ray", {})}
        section = Translate(using="slow", model="m", options={"ray": told, **said})
        several.append(rayed("translators", Told(section, tmp_path)))
        return several[-1]

    yield make
    for one in several:
        one.release()


def asked(provider: Rayed, *texts: str) -> Sequence[Any]:
    return asyncio.run(
        provider.send([provider.request([text], ENGLISH, VIETNAMESE) for text in texts])
    )


def project(root: Path, rows: int, **sections: Any) -> Workspace:
    """Return a workspace of some rows, collected."""
    root.mkdir()
    tasks = [{"instruction": f"Task {n}", "output": f"Answer {n}"} for n in range(rows)]
    (root / "rows.json").write_bytes(orjson.dumps(tasks))
    recipe = {"name": "toy", "languages": "vi", "sources": {"toy": {"files": ["rows.json"]}}}
    (root / "recipe.toml").write_text(tomli_w.dumps({**recipe, **sections}), encoding="utf-8")
    workspace = open_workspace(root)
    collect(workspace)
    return workspace


class Killer:
    """Kills an actor's process once some answers have come."""

    def __init__(self, provider: Rayed, after: int) -> None:
        self.provider = provider
        self.after = after
        self.killed: list[int] = []

    def see(self, event: Event) -> None:
        if event.kind != "progress" or event.facts["answered"] < self.after or self.killed:
            return
        busy = max(self.provider.actors, key=lambda actor: actor.asked)
        if busy.asked and busy.ready:
            self.killed.append(busy.started.result())
            os.kill(self.killed[0], signal.SIGKILL)


def entries(path: Path) -> dict[str, tuple[str, str, str, int, int]]:
    """Return what a ledger holds but for times and attempts."""
    with Ledger(path, read_only=True) as ledger:
        return {
            one.key: (one.provider, one.output, one.finish, one.tokens_in, one.tokens_out)
            for one in ledger.entries()
        }


def same_bytes(here: tuple[Workspace, Asked], there: tuple[Workspace, Asked]) -> None:
    assert there[1].path.read_bytes() == here[1].path.read_bytes()
    ledgers = [entries(workspace.ledger(VIETNAMESE)) for workspace, _ in (here, there)]
    assert ledgers[0] == ledgers[1]
    assert len(ledgers[0]) == here[1].rows


# -- the whole road, and a kill in the middle -----------------------------------------------------


def test_a_killed_actor_costs_nothing_but_time_and_the_bytes_are_the_same(
    cluster: str, plugged: Path, tmp_path: Path
) -> None:
    told = {"using": "slow", "model": "m"}
    ray = {"actors": 2, "address": cluster}
    here = project(tmp_path / "here", 90, translate=told)
    there = project(tmp_path / "there", 90, translate={**told, "options": {"seconds": 0.1}})
    section = there.recipe.translate.model_copy(update={"options": {"seconds": 0.1, "ray": ray}})
    provider = rayed("translators", Told(section, there.recipe_folder))
    done = ask(translating(here, VIETNAMESE, engage("translate", here)))
    killer = Killer(provider, after=12)
    try:
        with reading(killer):
            spread = ask(translating(there, VIETNAMESE, engage("translate", there, provider)))
        pids = {actor.started.result() for actor in provider.actors}
    finally:
        provider.release()
    same_bytes((here, done), (there, spread))
    assert (spread.answered, spread.missing) == (90, 0)
    (filled,) = spread.filled
    assert filled.again["server"] >= 3  # what the dead one had in hand
    assert len(killer.killed) == 1
    assert len(pids) == 2
    assert not pids & {*killer.killed, os.getpid()}


def test_a_model_on_the_cluster_draws_what_it_draws_here(
    cluster: str, tiny_base: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    options = {"batch": 2, "device": "cpu", "dtype": "float32"}
    told = {"using": "local", "model": str(tiny_base), "max_tokens": 24}
    told |= {"temperature": 1.0, "concurrency": 3, "retries": {"length": 1, "language": 1}}
    sections = {"translate": {"using": "slow"}, "respond": {**told, "options": options}}
    here = project(tmp_path / "here", 16, **sections)
    there = project(tmp_path / "there", 16, **sections)
    for workspace in (here, there):
        ask(translating(workspace, VIETNAMESE, engage("translate", workspace)))
    ray = {"actors": 1, "address": cluster}
    respond = there.recipe.respond.model_copy(update={"options": {**options, "ray": ray}})
    provider = rayed("chats", Told(respond, there.recipe_folder))
    done = ask(responding(here, VIETNAMESE, engage("respond", here)))
    killer = Killer(provider, after=4)
    try:
        with reading(killer):
            spread = ask(responding(there, VIETNAMESE, engage("respond", there, provider)))
    finally:
        provider.release()
    assert killer.killed
    assert spread.filled[0].again["server"] >= 2
    # random answers are cut short or in no language: they were asked for twice, here and there
    assert spread.filled[0].again["length"] == done.filled[0].again["length"] > 0
    assert there.stage("answered", "vi").read_bytes() == here.stage("answered", "vi").read_bytes()
    assert entries(there.ledger(VIETNAMESE)) == entries(here.ledger(VIETNAMESE))


# -- actors that die, refuse, or find no place ----------------------------------------------------


def test_what_a_dead_actor_was_asked_may_be_asked_again(made: Any) -> None:
    provider = made(ray={"actors": 1, "restarts": 1})
    assert isinstance(asked(provider, "fine")[0], Answer)
    first, second = asked(provider, "poison", "fine")
    assert first == second
    assert isinstance(first, Again)
    assert first.why == "server"
    assert first.detail.startswith("an actor died: ")
    assert isinstance(asked(provider, "fine")[0], Answer)  # a fresh one
    asked(provider, "poison")
    with pytest.raises(ProviderError, match="2 actors died without an answer") as told:
        asked(provider, "poison")
    assert told.value.retryable


def test_an_error_of_ours_keeps_its_words_and_a_bug_its_traceback(made: Any) -> None:
    provider = made(ray={"actors": 1})
    with pytest.raises(ProviderError, match=r"no credit is left \(on ") as told:
        asked(provider, "broke")
    assert told.value.hint == "top it up"
    with pytest.raises(ZeroDivisionError, match="a bug of the provider"):
        asked(provider, "bug")
    assert isinstance(asked(provider, "fine")[0], Answer)


def test_where_there_is_no_room_it_is_said_and_what_there_is(made: Any) -> None:
    provider = made(ray={"num_gpus": 1, "start_seconds": 0.5})
    with pytest.raises(ProviderError, match=r"wants 1 CPU and 1 GPU, the cluster has 2 CPU, 0 GPU"):
        asked(provider, "fine")


def test_as_many_actors_as_fit_and_they_outlive_an_asking(made: Any) -> None:
    provider = made(ray={"actors": 0})
    asked(provider, "fine")
    asyncio.run(provider.close())
    before = [actor.handle for actor in provider.actors]
    assert len(before) == 2
    asked(provider, "fine")
    assert [actor.handle for actor in provider.actors] == before
    provider.release()
    assert provider.actors == []


def test_after_a_stop_nothing_is_asked_any_more(made: Any) -> None:
    provider = made()
    provider.stop()
    assert asked(provider, "fine") == [Again("server", "not asked any more")]
    asyncio.run(provider.close())
    assert isinstance(asked(provider, "fine")[0], Answer)
