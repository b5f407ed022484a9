"""Two processes train what one trains: the same rows, losses and weights, spread out or not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bactrian.errors import ConfigError, MissingExtra, RunError
from bactrian.models import adapters
from bactrian.recipe import Lora, Train
from bactrian.train import processes as here
from bactrian.train.processes import Processes, after_main, all_or_none, as_main_says, processes
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.train.settings import refuse  # noqa: E402

MakeWorkspace = Callable[..., Workspace]

SEVERAL = """
import json, os, sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState

from bactrian.events import Event, reading
from bactrian.train import sharded
from bactrian.train.run import train
from bactrian.workspace import open_workspace

class Keep:
    def __init__(self):
        self.told = []

    def see(self, event):
        self.told.append([event.kind, event.facts])

def counted(tensor):
    spread.append(hasattr(tensor, "full_tensor"))
    return whole(tensor)

spread, whole = [], sharded.whole
sharded.whole = counted
torch.set_num_threads(1)
for root, *overrides in json.loads(sys.argv[1]):
    AcceleratorState._reset_state()  # trainings of one process share FSDP, or the want of it
    heard = Keep()
    spread.clear()
    with reading(heard):
        train(open_workspace(Path(root), tuple(overrides)), "toy")
    heard.see(Event("spread", {"tensors": sum(spread)}))
    rank = os.environ.get("RANK", "alone")
    Path(root, f"heard-{rank}.json").write_text(json.dumps(heard.told, default=str))
"""
EXACT = ("train.dtype=float32", "train.lora.dropout=0.0")


def launch(count: int, *words: object) -> None:
    """Run a script in so many processes; count 1 is without torchrun."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    several: list[str] = []
    if count > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = ("--master-addr", "127.0.0.1", "--master-port", str(port))
        several = ["-m", "torch.distributed.run", "--nproc-per-node", str(count), *address]
    done = subprocess.run(
        [sys.executable, *several, *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-8000:]


class Made(NamedTuple):
    """What a training left."""

    losses: list[dict[str, float]]
    steps: int
    tensors: dict[str, Any]
    root: Path


def made(root: Path) -> Made:
    from safetensors.torch import load_file

    folder = "adapters/toy"

    history = json.loads((root / folder / "training.json").read_text(encoding="utf-8"))
    losses = [
        {name: entry[name] for name in entry if "loss" in name or "validation" in name}
        | {"step": entry["step"]}
        for entry in history
    ]
    facts = json.loads((root / folder / "bactrian.json").read_text(encoding="utf-8"))
    return Made(losses, facts["steps"], load_file(root / folder / adapters.WEIGHTS), root)


def alike(one: Made, two: Made, weights: float = 1e-4, losses: float = 1e-5) -> None:
    assert one.steps == two.steps
    assert [entry.keys() for entry in one.losses] == [entry.keys() for entry in two.losses]
    for entry, other in zip(one.losses, two.losses, strict=True):
        assert other == pytest.approx(entry, abs=losses)
    assert one.tensors.keys() == two.tensors.keys()
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], tensor, rtol=0, atol=weights)


def both_ways(
    tmp_path: Path, make: MakeWorkspace, jobs: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[Path, Path]]:
    """Train every job in one process (without FSDP) and in two; return the two places of each."""
    script = tmp_path / "several.py"
    script.write_text(SEVERAL, encoding="utf-8")
    places = {}
    told: dict[int, list[list[str]]] = {1: [], 2: []}
    for name, overrides in jobs.items():
        places[name] = (tmp_path / f"{name}-1", tmp_path / f"{name}-2")
        for count, root in zip((1, 2), places[name], strict=True):
            make("zh,vi", root=root)
            alone = [one for one in overrides if count == 2 or "fsdp" not in one]
            told[count].append([str(root), *EXACT, *alone])
    for count in (1, 2):
        launch(count, script, json.dumps(told[count]))
    return places


def heard(root: Path, rank: int | str) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = json.loads(
        (root / f"heard-{rank}.json").read_text(encoding="utf-8")
    )
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_train_what_one_trains(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    """Odd numbers of micro-batches, a step of fewer rows than processes, stopping early."""
    jobs = {
        "tokens": ("train.micro_batch_tokens=400", "train.max_steps=4"),
        "rows": ("train.batch_rows=1", "train.max_steps=3", "train.eval_steps=2"),
        "odd": ("train.batch_rows=5", "train.micro_batch_tokens=300", "train.max_steps=3"),
        "stopped": (
            *("train.eval_steps=1", "train.patience=2", "train.stop_on=worst"),
            *("train.learning_rate=0.3", "train.schedule=constant", "train.warmup=0.0"),
        ),
    }
    for name, (one, two) in both_ways(tmp_path, make_workspace, jobs).items():
        # at a rate of 0.3 the last digits of a gradient are soon the first of a weight
        limits = {"weights": 1e-2, "losses": 1e-3} if name == "stopped" else {}
        alike(made(one), made(two), **limits)
        assert {kind for kind, _ in heard(two, 1)} <= {"decision", "note", "spread", "warning"}
        kinds = [kind for kind, _ in heard(two, 0)]
        assert kinds.count("made") == 1
        steps = [facts for _, facts in heard(two, 0) if facts.get("task") == "train toy"]
        assert len(steps) == made(two).steps
        assert not [path.name for path in (two / "adapters").iterdir() if ".toy" in path.name]
    assert made(two).steps < 6, "it was stopped"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_weights_that_are_spread_out_learn_the_same(
    tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    few = "train.max_steps=3"
    settings = ("train.fsdp=true", few)
    ((one, two),) = both_ways(tmp_path, make_workspace, {"lora": settings}).values()
    spread = made(two)
    alike(made(one), spread)
    held_out = [entry["validation_zh"] for entry in spread.losses if "validation_zh" in entry]
    assert held_out[-1] < held_out[0]
    counts = [facts["tensors"] for kind, facts in heard(two, 1) if kind == "spread"]
    assert counts[0] > 0, "nothing was spread over processes"
    assert all(bool(torch.isfinite(tensor).all()) for tensor in spread.tensors.values())


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, Processes(0, 1)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, Processes(0, 1)),
        ({"WORLD_SIZE": "4", "RANK": "2"}, Processes(2, 4)),
    ],
)
def test_what_torchrun_told(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], found: Processes
) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert processes() == found
    assert found.main == (found.rank == 0)


def test_one_process_is_asked_itself() -> None:
    assert as_main_says(Processes(), lambda: "step 4") == "step 4"


def test_a_process_that_was_lost_is_no_bug() -> None:
    lost = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:399"
    told = pytest.raises(RunError, match="process 1 lost another process")
    with told as caught, all_or_none(Processes(1, 2)):
        raise RuntimeError(lost)
    assert "the same command goes on" in caught.value.hint
    for found, said in ((Processes(), lost), (Processes(0, 2), "shapes do not match")):
        with pytest.raises(RuntimeError, match=said[-9:]), all_or_none(found):
            raise RuntimeError(said)


def test_the_first_process_has_the_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    with after_main():
        pass
    assert waited == []
    with pytest.raises(ConfigError), after_main():
        raise ConfigError("the loss is not a number any more", "lower train.learning_rate")
    assert waited == [here.GRACE]


@pytest.mark.parametrize(
    ("train", "adapters_of_it", "world", "problem"),
    [
        (Train(fsdp=True), 1, 1, "there is one"),
        (Train(fsdp=True, lora=Lora(variant="pissa")), 1, 2, "pissa"),
        (Train(together=True), 2, 2, "there are 2"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_loaded(
    train: Train, adapters_of_it: int, world: int, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        refuse(train, adapters_of_it, Processes(0, world))
    assert "write" in caught.value.hint


def test_what_works_is_not_refused() -> None:
    refuse(Train(), 1, Processes(0, 2))
    refuse(Train(fsdp=True), 1, Processes(1, 2))
    refuse(Train(lora=Lora(variant="pissa")), 1, Processes(0, 2))
    refuse(Train(together=True), 52, Processes())


def test_a_logger_that_is_not_there_is_said_first(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.train import run

    def loaded(*_: Any) -> None:
        raise AssertionError("something was loaded before")

    monkeypatch.setattr(run, "of", loaded)
    monkeypatch.setattr("bactrian.train.settings.find_spec", lambda name: None)
    workspace = make_workspace("zh", 'train.loggers=["trackio"]')
    with pytest.raises(MissingExtra, match="trackio, which is not installed") as caught:
        run.train(workspace, "toy")
    assert "pip install trackio" in caught.value.hint
