"""Actors that do not come, die again and again, or are not like the others; Ray is played."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.cluster import Cluster, Refused
from bactrian.errors import AdapterError, ConfigError, RunError
from bactrian.evaluate.spread import Unit, actors
from bactrian.evaluate.spread.actors import Actors
from bactrian.evaluate.spread.crew import Computed
from bactrian.evaluate.spread.worker import Opened
from bactrian.events import Event, reading

OPENED = Opened(
    {"base": "1", "zh": "2"}, "float32", "none", "causal", "cpu", "packed", 320, False, "node-1"
)


class RayError(Exception):
    """What Ray raises where a worker died."""


class Reference:
    """What will be known: a value, an error, or never anything."""

    def __init__(self, found: Any) -> None:
        self.found = found


NEVER = Reference(None)


class Handle:
    """An actor that opens and works as it is told."""

    def __init__(self, opened: Any, work: Callable[[Any], Any], placed: bool = True) -> None:
        self.place = SimpleNamespace(remote=lambda: Reference(1) if placed else NEVER)
        self.open = SimpleNamespace(remote=lambda: NEVER if opened is None else Reference(opened))
        self.do = SimpleNamespace(remote=lambda asked, told: Reference(work(asked)))


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Handles that were killed, by a Ray whose references are known at once."""
    found: list[Any] = []

    def get(reference: Reference) -> Any:
        if isinstance(reference.found, Exception):
            raise reference.found
        return reference.found

    def wait(references: list[Reference], **_: Any) -> tuple[list[Reference], list[Reference]]:
        return [one for one in references if one is not NEVER][:1], []

    errors = SimpleNamespace(RayError=RayError, RayTaskError=ZeroDivisionError)
    has = {"CPU": 4.0}
    ray = SimpleNamespace(
        get=get, wait=wait, kill=found.append, exceptions=errors, cluster_resources=lambda: has
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", errors)
    return found


def crew(*handles: Handle, count: int = 1, restarts: int = 3) -> Actors:
    """Return actors made of the handles in turn, the last one again and again."""
    left = list(handles)
    return Actors(
        lambda: left.pop(0) if len(left) > 1 else left[0], count, Cluster(restarts=restarts)
    )


def units(count: int) -> list[Unit]:
    return [Unit(number, "exams zh") for number in range(count)]  # type: ignore[arg-type]


def doubled(work: Any) -> Computed:
    return Computed(2 * work, 0.1)


def died(_: Any) -> RayError:
    return RayError("The actor died.\nand more")


class Heard:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        self.texts.append(str(event.facts["text"]))


def test_every_unit_is_done_once_though_workers_die(killed: list[Any]) -> None:
    asked: list[Any] = []

    def second_dies(work: Any) -> Any:
        asked.append(work)
        return died(work) if len(asked) == 2 else doubled(work)

    told = replace(OPENED, told=(("decision", "float32: this CPU does not multiply in bfloat16"),))
    several = crew(Handle(told, second_dies), Handle(OPENED, doubled), count=2)
    with reading(heard := Heard()):
        found = {done.unit.work: done.result for done in several.done(units(7))}
    assert found == {number: 2 * number for number in range(7)}  # type: ignore[comparison-overlap]
    assert len(several.actors) == 2
    assert heard.texts == [
        "float32: this CPU does not multiply in bfloat16",
        "a worker died, its work goes to another: The actor died.",
    ]
    several.end()
    assert len(killed) == 2


@pytest.mark.usefixtures("killed")
def test_work_that_kills_every_worker_is_named() -> None:
    words = "exams zh: 3 workers died over it, the last: The actor died"
    with pytest.raises(RunError, match=words) as caught:
        list(crew(Handle(OPENED, died), restarts=2).done(units(1)))
    assert "lower eval.batch_tokens" in caught.value.hint


@pytest.mark.usefixtures("killed")
def test_workers_that_die_before_they_work_end_the_run() -> None:
    handle = Handle(RayError("killed by the system"), doubled)
    with pytest.raises(RunError, match=f"{actors.DEATHS + 1} workers died one after the other"):
        list(crew(handle).done(units(1)))


@pytest.mark.usefixtures("killed")
def test_a_cluster_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "START_SECONDS", 0.0)
    with pytest.raises(RunError, match=r"no worker found a place .* the cluster has 4 CPU, 0 GPU"):
        crew(Handle(None, doubled, placed=False)).open()


@pytest.mark.usefixtures("killed")
def test_errors_of_ours_come_back_as_they_were() -> None:
    refused = Refused("ConfigError", "base x has no config.json (on node-2)", "name a folder")
    with pytest.raises(ConfigError, match="on node-2"):
        crew(Handle(refused, doubled)).open()
    with pytest.raises(ConfigError, match="on node-2"):
        list(crew(Handle(OPENED, lambda _: refused)).done(units(1)))


@pytest.mark.usefixtures("killed")
def test_workers_with_other_weights_than_here_are_refused() -> None:
    several = crew(Handle(OPENED, doubled))
    with pytest.raises(AdapterError, match="zh has other weights on node-1 than on this machine"):
        several.hold_to(replace(OPENED, keys={"base": "1", "zh": "9"}, where="this machine"))
