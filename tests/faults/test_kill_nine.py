"""The demo killed with -9 in every step and started again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bactrian import events

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "limit=36",
    "build.validation=6",
    "train.epochs=2",
    "train.max_steps=6",
    "train.save_steps=2",
    "train.log_steps=1",
    "train.batch_tokens=1024",
    "train.micro_batch_tokens=512",
    "train.max_tokens=1024",
    "train.learning_rate=0.01",
    "train.lora.dropout=0.1",
    "eval.draws=200",
    "eval.batch_tokens=2048",
    "eval.sample_tokens=4",
    "languages=zh,km",
    'train.adapters={km = "km", multi = "zh,km"}',
    'eval.languages={xcopa = "et"}',
)
MOMENTS = (
    ("made", "stages/sources"),
    ("made", "stages/translated/zh"),
    ("made", "stages/answered/zh"),
    ("made", "stages/checked/zh"),
    ("made", "data/zh/train"),
    ("progress", "train km 3"),
    ("made", "adapters/km"),
    ("progress", "train multi 5"),
    ("progress", "eval held-out zh"),
    ("made", "results.json"),
)
"""What the dead process had just said: each is another step, or the middle of one."""


def command(folder: Path, base: Path) -> list[str]:
    told = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["demo", "--folder", str(folder), "--set", f"train.base={base}", *told]
    return [sys.executable, "-m", "bactrian", *words]


def start(folder: Path, base: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(folder, base),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(run: Path) -> list[str]:
    """Return what a run has told so far, a line an event."""
    path = run / "events.jsonl"
    lines = []
    for event in events.read(path) if path.is_file() else ():
        what = event.get("path") or f"{event.get('task')} {event.get('done')}"
        lines.append(f"{event['kind']} {what}")
    return lines


def kill_when(folder: Path, base: Path, kind: str, what: str) -> bool:
    """Start the demo and kill it when the moment has come; False when it ended before."""
    before = set(folder.glob("runs/*"))
    process = start(folder, base)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        for run in set(folder.glob("runs/*")) - before:
            if any(line.startswith(kind) and what in line for line in said(run)):
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
                return True
        time.sleep(0.005)
    process.kill()
    process.communicate()
    return False


def finished(folder: Path, base: Path) -> str:
    process = start(folder, base)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def outcome(folder: Path) -> dict[str, Any]:
    """Return everything that has to be the same, killed or not."""
    results = json.loads((folder / "results/demo/results.json").read_text(encoding="utf-8"))
    kept = {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in ("datasets/**/*.parquet", "datasets/*/README.md", "adapters/*/*.safetensors")
        for path in folder.glob(pattern)
    }
    return {**kept, "scores": results["scores"], "differences": results["differences"]}


@pytest.mark.slow
def test_killed_at_every_step_the_demo_goes_on_where_it_was(
    tmp_path: Path, tiny_base: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(whole, tiny_base)
    killed = [what for kind, what in MOMENTS if kill_when(broken, tiny_base, kind, what)]
    assert killed == [what for _, what in MOMENTS], "a moment never came"
    finished(broken, tiny_base)

    expected, found = outcome(whole), outcome(broken)
    assert found.keys() == expected.keys()
    different = [name for name in expected if found[name] != expected[name]]
    assert not different
    left = [
        path
        for part in ("datasets", "adapters", "results")
        for path in broken.glob(f"{part}/**/*.unfinished")
    ]
    assert not left, "half-written files were left behind"

    states = [json.loads(path.read_bytes())["state"] for path in broken.glob("runs/*/status.json")]
    assert states.count("done") == 1

    before = set(broken.glob("runs/*"))
    again = finished(broken, tiny_base)
    assert outcome(broken) == found
    (run,) = set(broken.glob("runs/*")) - before
    made = [line for line in said(run) if line.startswith("made")]
    assert made == [], f"a second run made {made}"
    assert "talk to it: bactrian chat" in again
