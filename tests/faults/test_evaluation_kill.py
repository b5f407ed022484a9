"""An evaluation killed with -9 between its batches and gone on with ends in the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from bactrian.models import adapters, base  # noqa: E402

PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from bactrian import events
from bactrian.evaluate.engine import answer, questions, scorers
from bactrian.evaluate.store import open_store
from bactrian.evaluate.tasks import Item, Rules
from bactrian.models.base import load

folder, base, adapter = map(Path, sys.argv[1:4])
loaded = load(str(base), dtype="float32")
ready = scorers(loaded, {"zh": adapter})
items = [Item(str(n), f"{'x' * (n % 7)} question {n}, a longer one", (" yes", " no, never"))
         for n in range(40)]
asked = questions(loaded, "task", "en", items, Rules("acc", "together", ()))

class Said:
    def see(self, event):
        print(event.kind, event.facts.get("done"), flush=True)
        if event.kind == "progress" and sys.argv[4] == "stops":
            sys.stdin.readline()

with open_store(folder / "scores.sqlite") as store, events.reading(Said()):
    answer(ready, asked, store, 128)
    store.publish(folder / "scores.jsonl")
"""


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    loaded = base.load(str(tiny_base), dtype="float32")
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj"], init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("adapters") / "zh"
    with adapters.hushed():
        peft.get_peft_model(loaded.model, config).save_pretrained(folder)
    return folder


def started(folder: Path, *told: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), *map(str, told)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_after(process: subprocess.Popen[str], batches: int) -> int:
    """Let so many batches be told of, then kill it; return how many scores were done by then."""
    assert process.stdout is not None
    assert process.stdin is not None
    done, told = 0, 0
    for line in process.stdout:
        if not line.startswith("progress"):
            continue
        told, done = told + 1, int(line.split()[1])
        if told == batches:
            break
        process.stdin.write("\n")
        process.stdin.flush()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert told == batches, "it ended before"
    return done


def finished(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_killed_between_batches_it_ends_in_the_same_bytes(
    tiny_base: Path, adapter: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(started(whole, tiny_base, adapter, "goes on"))
    expected = (whole / "scores.jsonl").read_bytes()
    assert len(expected.splitlines()) == 2 * 2 * 40
    for batches in (3, 8):
        done = killed_after(started(broken, tiny_base, adapter, "stops"), batches)
        assert 0 < done < 2 * 2 * 40
        assert not (broken / "scores.jsonl").exists()
    finished(started(broken, tiny_base, adapter, "goes on"))
    assert (broken / "scores.jsonl").read_bytes() == expected
