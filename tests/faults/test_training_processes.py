"""Trainings killed, cut and filled up: they go on from what is whole, or say what to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import events
from bactrian.errors import RunError
from bactrian.events import Event, reading
from bactrian.models import adapters
from bactrian.workspace import Workspace

pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.train.run import train

MakeWorkspace = Callable[..., Workspace]


class Stop(Exception):
    """The end of a process, without one."""


class Heard:
    """Keeps what is said, and stops the training when it has come to a step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at = stop_at
        self.told: list[tuple[str, Any]] = []

    def see(self, event: Event) -> None:
        self.told.append((event.kind, event.facts.get("text") or event.facts.get("done")))
        if event.kind == "progress" and event.facts["done"] == self.stop_at:
            raise Stop


def torchrun(workspace: Workspace, *settings: str) -> subprocess.Popen[str]:
    """Start ``bactrian train`` in two processes, in a group of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ("--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1]))
    told = [word for setting in settings for word in ("--set", setting)]
    several = ("-m", "torch.distributed.run", "--nproc-per-node", "2", *address)
    return subprocess.Popen(
        [sys.executable, *several, "-m", "bactrian", "train", str(workspace.root), *told],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said[-8000:]
    return said


def family(pid: int) -> list[int]:
    """Return a process and all that it started; torchrun's are in sessions of their own."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(found for child in told for found in family(int(child)))]


def killed_at(process: subprocess.Popen[str], workspace: Workspace, step: int) -> None:
    """Kill torchrun and both processes when the run has told of a step."""
    deadline = time.monotonic() + 900
    while process.poll() is None and time.monotonic() < deadline:
        for path in workspace.runs.glob("*/events.jsonl"):
            told = [event for event in events.read(path) if event.get("task") == "train toy"]
            if any(event["done"] >= step for event in told):
                for pid in family(process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.communicate()
                return
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail(f"step {step} never came: {process.communicate()[0][-4000:]}")


def weights(workspace: Workspace) -> bytes:
    return (workspace.adapter("toy") / adapters.WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fsdp", ["false", "true"])
def test_two_processes_killed_and_started_again_end_as_if_never_killed(
    make_workspace: MakeWorkspace, tmp_path: Path, fsdp: str
) -> None:
    """Dropout is at work, and each process has its own: both go on with theirs."""
    settings = (
        *(f"train.fsdp={fsdp}", "train.micro_batch_tokens=400", "train.eval_rows=0"),
        *("train.epochs=9", "train.max_steps=12"),  # long enough to be killed in time
    )
    whole = make_workspace("zh,vi", root=tmp_path / "whole")
    assert whole.recipe.train.lora.dropout > 0
    ended(torchrun(whole, *settings))
    broken = make_workspace("zh,vi", root=tmp_path / "broken")
    killed_at(torchrun(broken, *settings), broken, 3)
    assert not broken.adapter("toy").exists()
    said = ended(torchrun(broken, *settings))
    assert said.count("going on from step") == 1, said
    assert weights(broken) == weights(whole)
    (history, expected) = (
        (one.adapter("toy") / "training.json").read_bytes() for one in (broken, whole)
    )
    assert history == expected
    states = [json.loads(path.read_bytes())["state"] for path in broken.runs.glob("*/status.json")]
    assert len(states) == 2, "one run directory a start"
    assert states.count("done") == 1
    adapters.verify(broken.adapter("toy"))


SETTINGS = ("train.eval_steps=1", "train.patience=9", "train.max_steps=5", "train.epochs=9")


def stopped(workspace: Workspace, step: int) -> Path:
    """Train until a step has been told; return the folder of the checkpoints."""
    with pytest.raises(Stop), reading(Heard(step)):
        train(workspace, "toy")
    (scratch,) = workspace.adapter("toy").with_name(".toy.training").iterdir()
    return scratch


@pytest.fixture
def whole(make_workspace: MakeWorkspace, tmp_path: Path) -> bytes:
    workspace = make_workspace("zh", *SETTINGS, root=tmp_path / "whole")
    train(workspace, "toy")
    return weights(workspace)


def cut_in_half(checkpoint: Path) -> None:
    for path in checkpoint.iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    kept = bytearray(path.read_bytes())
    kept[-1] ^= 255
    path.write_bytes(kept)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut in half": cut_in_half,
    "optimizer.pt": lambda at: flipped(at / "optimizer.pt"),
    "learning.safetensors": lambda at: flipped(at / "learning.safetensors"),
    "rng_state.pth": lambda at: (at / "rng_state.pth").unlink(),
}


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_gone_on_from(
    make_workspace: MakeWorkspace, tmp_path: Path, whole: bytes
) -> None:
    workspace = make_workspace("zh", *SETTINGS, root=tmp_path / "broken")
    scratch = stopped(workspace, 5)
    kept = shutil.copytree(scratch, tmp_path / "kept")
    for name, damage in DAMAGE.items():
        shutil.rmtree(workspace.adapter("toy"), ignore_errors=True)
        shutil.copytree(kept, scratch, dirs_exist_ok=True)
        damage(scratch / "checkpoint-4")
        heard = Heard()
        with reading(heard):
            train(workspace, "toy")
        (said,) = [text for kind, text in heard.told if kind == "warning"]
        assert "checkpoint-4 is damaged (" in said
        assert said.endswith("going on from step 2")
        assert name == "cut in half" or name in said
        assert weights(workspace) == whole


def test_without_a_whole_checkpoint_it_begins_again(
    make_workspace: MakeWorkspace, tmp_path: Path, whole: bytes
) -> None:
    workspace = make_workspace("zh", *SETTINGS, root=tmp_path / "broken")
    scratch = stopped(workspace, 5)
    cut_in_half(scratch / "checkpoint-4")
    (scratch / "checkpoint-2" / "learning.safetensors").unlink()
    heard = Heard()
    with reading(heard):
        train(workspace, "toy")
    said = [text for kind, text in heard.told if kind == "warning"]
    assert [text.rpartition("going on from ")[2] for text in said] == ["step 2", "the beginning"]
    assert weights(workspace) == whole


@pytest.mark.parametrize("file", ["learning.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_disk_that_fills_up_while_a_checkpoint_is_written(
    make_workspace: MakeWorkspace,
    tmp_path: Path,
    whole: bytes,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
) -> None:
    """The second checkpoint fails; the first is whole, nothing looks like an adapter."""
    import safetensors.torch
    import torch
    from transformers import TrainerState

    def full_after(write: Callable[..., Any], place: int) -> Callable[..., Any]:
        def attempt(*given: Any, **named: Any) -> Any:
            path = Path(given[place])
            if path.parent.name == "checkpoint-4" and path.stem == Path(file).stem:
                path.write_bytes(b"half")
                raise OSError(28, "No space left on device", str(path))
            return write(*given, **named)

        return attempt

    workspace = make_workspace("zh", *SETTINGS, root=tmp_path / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full_after(safetensors.torch.save_file, 1))
        patch.setattr(torch, "save", full_after(torch.save, 1))
        patch.setattr(TrainerState, "save_to_json", full_after(TrainerState.save_to_json, 1))
        with pytest.raises(RunError, match="no space left on the disk") as caught:
            train(workspace, "toy")
    assert "run the same command again" in caught.value.hint
    assert not workspace.adapter("toy").exists()
    heard = Heard()
    with reading(heard):
        train(workspace, "toy")
    assert ("note", "train toy: going on from step 2") in heard.told
    assert weights(workspace) == whole
    left = [path.name for path in workspace.adapter("toy").parent.iterdir()]
    assert not [name for name in left if ".toy" in name]
