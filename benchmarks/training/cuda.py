"""The two models of the original on one GPU: random weights, rank 64, rows of up to 768 tokens.

One call on a machine that has torch with CUDA and nothing else of ours: it makes an environment
over that torch, installs what we and the peers import into it (from PyPI, or from the folder of
wheels that BENCH_WHEELS names), runs every contender in a process of its own, and stops starting
cells after nine minutes. Peers are told bf16 autocast, so that their float32 adapters multiply in
bfloat16 too, and the largest batch of 8, 4 and 2 rows that fits.

A share of peak is the operations of useful tokens (``floor.work``: padding counts as nothing done)
over those of an 8192 x 8192 x 8192 product in bfloat16, measured just before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.training import meter, report
from benchmarks.training.report import Figure

ROOT = Path(__file__).resolve().parents[2]
RANK = 64
SECONDS = 540
"""No cell is started later than this."""
CELL_SECONDS = 150
GOAL = 0.45
"""Share of the bf16 peak to reach."""
PACKAGES = (
    "trl==1.16.0",
    "liger-kernel==0.8.5",
    "transformers>=5.0",
    "peft>=0.17",
    "accelerate>=1.1",
    "datasets>=3.0",
    "pydantic>=2.9",
    "orjson>=3.10",
    "pyarrow>=17",
    "tomli-w>=1.1",
)
"""What the cells import; the project itself is run from its source."""

MODELS: dict[str, dict[str, tuple[str, ...]]] = {
    "llama-7b": {
        "ours": (),
        "hf-group": ("--autocast", "--liger"),
        "trl-group": ("--autocast",),
        "trl-packing": ("--autocast",),
    },
    "bloom-7b1": {"ours": (), "hf-group": ("--autocast",), "trl-group": ("--autocast",)},
}
"""Liger has no kernels for BLOOM, and TRL's packed BLOOM documents see each other."""


def figures(work: Path, cells: list[dict[str, Any]]) -> Iterator[Figure]:
    """Yield tokens a second, memory and share of peak of each contender, and what ours is over."""
    if not has_device(Path(sys.executable)):
        print("# cuda: skipped, torch sees no CUDA device here", flush=True)
        return
    until = time.monotonic() + SECONDS
    try:
        python = environment(work / "venvs" / "cuda")
    except subprocess.CalledProcessError as error:
        print(f"# cuda: skipped, {' '.join(map(str, error.cmd))} failed", flush=True)
        return
    for model, contenders in MODELS.items():
        floor = _run(python, work, ["benchmarks.training.floor", *_told(model)])
        if floor is None:
            continue
        cells.append(floor)
        found: dict[str, dict[str, Any]] = {}
        for name, more in contenders.items():
            if time.monotonic() > until:
                print(f"# {name} {model}: not run, the time is up", flush=True)
            elif cell := largest(python, work, name, [*_told(model), *more]):
                cell["share_of_peak"] = round(share(cell, floor), 4)
                print(f"# {name} {model}: {report.short(cell)}", flush=True)
                found[name] = cell
                cells.append(cell)
        yield from compared(model, found)


def share(cell: dict[str, Any], floor: dict[str, Any]) -> float:
    """Return useful operations a second over those of the square product."""
    operations = sum(floor["mflop_per_token"].values()) * 1e6
    return float(cell["useful_per_s"] * operations / (floor["square_gflops"] * 1e9))


def compared(model: str, found: dict[str, dict[str, Any]]) -> Iterator[Figure]:
    """Yield the figures of one model."""
    for name, cell in found.items():
        for kind in ("useful", "response"):
            yield Figure(f"cuda_{model}_{name}_{kind}_tokens_per_s", cell[f"{kind}_per_s"])
        yield Figure(f"cuda_{model}_{name}_memory_mb", cell["memory_mb"])
        yield Figure(
            f"cuda_{model}_{name}_share_of_peak",
            cell["share_of_peak"],
            GOAL if name == "ours" else None,
            at_most=False,
        )
    if "ours" in found:
        for name, cell in found.items():
            if name != "ours":
                ratio = found["ours"]["useful_per_s"] / cell["useful_per_s"]
                yield Figure(f"cuda_{model}_useful_over_{name}", ratio, 1.0, at_most=False)


def largest(python: Path, work: Path, name: str, told: list[str]) -> dict[str, Any] | None:
    """Return the cell with the largest batch that fits into the device's memory."""
    if name == "ours":
        sizes, program = [["--tokens", "6144"], ["--tokens", "3072"]], ["benchmarks.training.ours"]
    else:
        rows = ("4", "2", "1") if name == "trl-packing" else ("8", "4", "2")
        sizes, program = [["--batch", size] for size in rows], ["benchmarks.training.peers", name]
    steps = ["--steps", "16", "--seconds", "30", "--work", str(work / "training")]
    for size in sizes:
        found = _run(python, work, [*program, *told, *steps, *size])
        if found is not None:
            return found
    return None


def _told(model: str) -> list[str]:
    return ["--model", model, "--device", "cuda", "--rank", str(RANK)]


def _run(python: Path, work: Path, command: list[str]) -> dict[str, Any] | None:
    """Run one program of the bench; None, and a word why, where it gave no result."""
    folder = work / "training"
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "HF_HUB_OFFLINE": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
    try:
        done = subprocess.run(
            [str(python), "-W", "ignore", "-m", *command],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            timeout=CELL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        print(f"# {' '.join(command)}: not done within {CELL_SECONDS} s", flush=True)
        return None
    found = meter.heard(done.stdout)
    if found is None:
        said = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no result"]
        print(f"# {' '.join(command)}: {said[0][:200]}", flush=True)
    return found


def has_device(python: Path) -> bool:
    """Whether this interpreter's torch sees a CUDA device."""
    asked = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([str(python), "-c", asked], capture_output=True).returncode == 0


def environment(venv: Path) -> Path:
    """Return the interpreter of an environment over this one's torch, made once."""
    python = venv / "bin" / "python"
    if not (venv / "whole").is_file():
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", "--system-site-packages", str(venv)],
            check=True,
        )
        _below(venv)
        wheels = os.environ.get("BENCH_WHEELS")
        source = ["--find-links", wheels, "--no-index"] if wheels else []
        install = [str(python), "-m", "pip", "install", "--quiet", *source, *PACKAGES]
        subprocess.run(install, check=True)
        (venv / "whole").touch()
    return python


def _below(venv: Path) -> None:
    """Let the environment see the packages of this interpreter where that is itself a venv."""
    folder = next((venv / "lib").glob("python3.*")) / "site-packages"
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (folder / "below.pth").write_text("\n".join(seen) + "\n", encoding="utf-8")
