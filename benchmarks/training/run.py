"""The training engine beside its peers, on the same rows, model and adapter.

    python -m benchmarks.training.run                        every figure, one thread and two
    python -m benchmarks.training.run --only llama --rounds 1 --threads 1
    python -m benchmarks.training.run --only scale           0.1 million rows, and the time of 3.4
    python -m benchmarks.training.run --only cuda            on a machine with a CUDA device

Prints a line a figure, ``name value limit ok|short``, writes results/training-<date>.json, and ends
with 1 where one falls short. Each cell is a process of its own; rounds run every contender in turn
(A B C A B C), and a figure is the median of the rounds' ratios. With one thread, rates are tokens
per second of CPU time, which other processes disturb least; with two, per second of the clock, and
told without a limit, because two threads collapse when another process takes a core. The peers'
environments (BENCH_DIR/venvs) are made where they are missing; a peer that has none is skipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.training import meter, report
from benchmarks.training.report import Figure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench"))
CELL_SECONDS = 400
"""Longest cell, start and compilation included."""
QUIET = 0.95
"""Share of a core that each thread of an undisturbed cell has."""
Cell = dict[str, Any]

CONTENDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "llama": {
        "ours": ("--steps", "6"),
        "floor": (),
        "unsloth": ("--steps", "24"),
        "hf-group": ("--steps", "20"),
        "trl-packing": ("--steps", "8", "--batch", "2"),
    },
    "bloom": {
        "ours": ("--steps", "3"),
        "ours-small": ("--steps", "3", "--tokens", "768", "--checkpointing"),
        "floor": (),
        "unsloth": ("--steps", "10"),
        "hf-group": ("--steps", "10", "--batch", "4", "--limit-gb", "13"),
    },
}
"""What runs in a round, with the steps that are timed: enough for a few per cent."""
OWN = {"ours": "ours", "ours-small": "ours", "floor": "floor"}
"""Which of them run in this project's environment, and by which program."""
SHELL = {
    "ours-small": {
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "48",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 22),
    }
}
"""What a user would set in the shell beside it."""

LIMITS: dict[str, dict[str, dict[str, tuple[float, float | None]]]] = {
    "llama": {"ours": {"unsloth": (1.5, 1 / 2), "hf-group": (2.5, None), "trl-packing": (7, None)}},
    "bloom": {
        "ours": {"unsloth": (2.8, None), "hf-group": (3.5, None)},
        "ours-small": {"unsloth": (2.8, 1 / 8), "hf-group": (3.5, 1 / 60)},
    },
}
"""Of each of our ways: useful tokens a second and memory above the loaded model over a peer's."""
FLOOR = {"llama": 0.65, "bloom": 0.70}
SIBLINGS = ("gradients", "adapters", "tokenizing", "cross_entropy", "attention", "lora_layers")
"""Programs beside this one that print lines of figures themselves."""
LONG = ("scale", "cuda")
"""Run only where they are asked for."""


class Bench:
    """Runs cells and keeps every number of them."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.cells: list[Cell] = []

    def cell(self, contender: str, model: str, threads: int, *more: str) -> Cell | None:
        """Run one cell; None where its environment is missing or it gave no result."""
        name = f"{contender} {model} {threads} thread{'s' * (threads > 1)}"
        python = python_of(contender)
        if python is None:
            print(f"# {name}: skipped, {WORK / 'venvs'} has no environment for it", flush=True)
            return None
        command = [str(python), "-W", "ignore", "-m", *_program(contender)]
        command += ["--model", model, "--threads", str(threads), *more]
        if contender != "floor":
            command += ["--work", str(WORK / "training")]
        done = _finished(command, threads, SHELL.get(contender, {}))
        found = meter.heard(done.stdout)
        if found is None:
            said = (done.stderr.strip() or "no result").splitlines()[-1][:200]
            print(f"# {name}: failed, {said}", flush=True)
            self.cells.append({"contender": contender, "model": model, "error": said})
            return None
        found["contender"] = contender
        found["load"] = round(os.getloadavg()[0], 2)
        found["disturbed"] = found.get("cpu_per_wall", threads) < QUIET * threads
        self.cells.append(found)
        print(f"# {name}: {report.short(found)}", flush=True)
        return found


def python_of(contender: str) -> Path | None:
    """Return the interpreter of a contender's environment, None where there is none."""
    if contender in OWN:
        return Path(sys.executable)
    venv = WORK / "venvs" / ("unsloth" if contender == "unsloth" else "trl")
    return venv / "bin" / "python" if (venv / "whole").is_file() else None


def _program(contender: str) -> list[str]:
    if contender in OWN:
        return [f"benchmarks.training.{OWN[contender]}"]
    return ["benchmarks.training.peers", contender]


def _finished(
    command: list[str], threads: int, shell: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in the work folder, where peers may leave what they like."""
    environment = {
        **os.environ,
        **shell,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    folder = WORK / "training"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            timeout=CELL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        said = f"not done within {CELL_SECONDS} s"
        return subprocess.CompletedProcess(command, 124, "", said)


def speed(bench: Bench, model: str) -> Iterator[Figure]:
    """Yield our rate and memory over each peer's, and the share of the floor."""
    for threads in bench.told.threads:
        rounds: list[dict[str, Cell]] = []
        for _ in range(bench.told.rounds):
            cells = {
                name: bench.cell(name, model, threads, *more)
                for name, more in CONTENDERS[model].items()
            }
            rounds.append({name: cell for name, cell in cells.items() if cell})
        yield from compared(model, threads, rounds)


def compared(model: str, threads: int, rounds: list[dict[str, Cell]]) -> Iterator[Figure]:
    """Yield the figures of some rounds; limits hold for one thread."""
    per = "per_cpu_s" if threads == 1 else "per_s"
    prefix = model if threads == 1 else f"{model}_{threads}_threads"
    bounded = threads == 1
    for name in CONTENDERS[model]:
        found = [cells[name] for cells in rounds if name in cells]
        if found and name != "floor":
            for kind in ("useful", "response"):
                rate = median(cell[f"{kind}_{per}"] for cell in found)
                yield Figure(f"{prefix}_{name}_{kind}_tokens_per_s", rate)
            yield Figure(f"{prefix}_{name}_memory_mb", median(cell["memory_mb"] for cell in found))
    for ours, limits in LIMITS[model].items():
        beside = prefix + ours.removeprefix("ours").replace("-", "_")
        for peer, (faster, smaller) in limits.items():
            pairs = [(cells[ours], cells[peer]) for cells in rounds if {ours, peer} <= cells.keys()]
            if not pairs:
                continue
            for kind, limit in (("useful", faster if bounded else None), ("response", None)):
                name = f"{kind}_{per}"
                ratio = median(mine[name] / theirs[name] for mine, theirs in pairs)
                yield Figure(f"{beside}_{kind}_over_{peer}", ratio, limit, at_most=False)
            ratio = median(mine["memory_mb"] / theirs["memory_mb"] for mine, theirs in pairs)
            yield Figure(f"{beside}_memory_over_{peer}", ratio, smaller)
    shares = [
        cells["ours"][f"useful_{per}"] / cells["floor"]["useful_per_s"]
        for cells in rounds
        if {"ours", "floor"} <= cells.keys()
    ]
    if shares:
        limit = FLOOR[model] if bounded else None
        yield Figure(f"{prefix}_share_of_floor", median(shares), limit, at_most=False)


def sibling(_: Bench, name: str) -> Iterator[Figure]:
    """Yield the figures that a program beside this one prints."""
    if not (HERE / f"{name}.py").is_file():
        print(f"# {name}: skipped, there is no {name}.py", flush=True)
        return
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.training.{name}"]
    done = _finished(command, 1, {})
    for line in done.stdout.splitlines():
        figure = report.read(line)
        if figure is not None:
            yield figure
        else:
            print(line if line.startswith("#") else f"# {line}", flush=True)
    if done.returncode > 1 or (done.returncode and not done.stdout):
        said = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1][:200]
        print(f"# {name}: failed, {said}", flush=True)
        yield Figure(f"{name}_failed", 1, 0)


def cuda(bench: Bench) -> Iterator[Figure]:
    """Yield the figures of a GPU; a word where there is none."""
    from benchmarks.training import cuda as on_cuda

    yield from on_cuda.figures(WORK, bench.cells)


FIGURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "llama": lambda bench: speed(bench, "llama"),
    "bloom": lambda bench: speed(bench, "bloom"),
    **{name: partial(sibling, name=name) for name in (*SIBLINGS, "scale")},
    "cuda": cuda,
}


def main() -> int:
    """Measure, print, write; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--no-peers", action="store_true", help="make no environments")
    told = parser.parse_args()
    asked = told.only or [name for name in FIGURES if name not in LONG]
    if not told.no_peers and {"llama", "bloom"} & set(asked):
        _environments()
    bench = Bench(told)
    figures: list[Figure] = []
    for name in asked:
        for figure in FIGURES[name](bench):
            print(figure.line(), flush=True)
            figures.append(figure)
    report.write(HERE.parent / "results", figures, bench.cells)
    if disturbed := [cell for cell in bench.cells if cell.get("disturbed")]:
        print(
            f"# {len(disturbed)} of {len(bench.cells)} cells had less than {QUIET:.0%} of a core a "
            "thread: other processes ran beside them, measure again when they do not",
            flush=True,
        )
    return int(any(figure.short for figure in figures))


def _environments() -> None:
    """Make the peers' environments; where that fails the peers are skipped, and it is said."""
    made = subprocess.run(["bash", str(HERE / "make_venvs.sh"), str(WORK / "venvs")])
    if made.returncode:
        print("# the peers' environments could not all be made: see make_venvs.sh", flush=True)


if __name__ == "__main__":
    sys.exit(main())
