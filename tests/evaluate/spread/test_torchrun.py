"""Two processes of torchrun or accelerate end in one process's bytes; one that dies is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.recipe import dumps
from bactrian.runs import every_run
from bactrian.workspace import Workspace

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("accelerate")

Made = Callable[..., Workspace]
Left = Callable[[Workspace], dict[str, Any]]
SEVERAL = """
import os, signal, sys
from datetime import timedelta

from bactrian.cli import main
from bactrian.evaluate.spread import ahead, torchrun

ahead.FIRST, ahead.SECONDS = 1, 0.0
rank, dies = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
compute, begin, done = torchrun.compute, torchrun.Several.__init__, []

def counted(*told):
    done.append(1)
    if dies and rank == "1" and len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(*told)

def both(crew, ready, line, world):
    line.wait(["1 opened"], timedelta(seconds=100))
    begin(crew, ready, line, world)

torchrun.compute, torchrun.Several.__init__ = counted, both
try:
    main(sys.argv[1:])
finally:
    if rank == "1":
        print("process 1 computed", len(done), "units", flush=True)
"""


TORCHRUN = (
    *("torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"),
    *("--master-addr", "127.0.0.1", "--master-port"),
)
ACCELERATE = (
    *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--main_process_port"),
)
"""As on a machine with two GPUs: its way to several processors needs MPI."""


def launch(launcher: Sequence[str], *words: object) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return subprocess.run(
        [sys.executable, "-m", *launcher, str(port), *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def prepared(made: Made, script: Path, program: str) -> Workspace:
    """Write a workspace's recipe and what its processes run."""
    spread = made("spread")
    (spread.root / "recipe.toml").write_text(dumps(spread.recipe), "utf-8")
    script.write_text(program, encoding="utf-8")
    return spread


@pytest.mark.slow
def test_accelerates_launcher_starts_the_same(
    made: Made, left: Left, alone: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "several.py"
    spread = prepared(made, script, SEVERAL.replace('== "0"', '== "never"'))
    done = launch(ACCELERATE, script, "eval", spread.root, "toy")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-5000:]
    assert done.stdout.count("2 processes share the work") == 1
    assert int(done.stdout.partition("process 1 computed ")[2].split()[0]) > 3
    assert left(spread) == alone


@pytest.mark.slow
def test_one_dies_and_the_next_start_ends_in_the_same_bytes(
    made: Made, left: Left, alone: dict[str, Any], tmp_path: Path
) -> None:
    """torchrun starts both again, as a person would with the same command."""
    script = tmp_path / "several.py"
    spread = prepared(made, script, SEVERAL)
    whole = launch(TORCHRUN, script, "eval", spread.root, "toy")
    assert whole.returncode == 0, whole.stdout[-2000:] + whole.stderr[-5000:]

    said = " ".join(whole.stderr.split())
    assert "error: another process of this evaluation has ended" in said, whole.stderr[-3000:]
    assert "the same command goes on from what is scored" in said
    assert whole.stdout.count("2 processes share the work") == 2
    shares = [part.split()[0] for part in whole.stdout.split("process 1 computed ")[1:]]
    assert len(shares) == 1, "the first time it was killed"
    assert int(shares[0]) > 3, "the second process had its share"
    assert whole.stdout.count("held-out zh  base") == 1, "one of them speaks"
    states = [run.status.state for run in every_run(spread.runs)]
    assert states == ["failed", "done"], "one of them keeps a run"
    assert left(spread) == alone
