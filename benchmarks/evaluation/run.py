"""The scoring engine beside lm-eval's, on the same token ids and the same models.

    python -m benchmarks.evaluation.run                           every figure
    python -m benchmarks.evaluation.run --only xcopa --limit 5    a quick look
    python -m benchmarks.evaluation.run --only adapters

Prints a line a figure, ``name value limit ok|short``, writes results/evaluation-<date>.json, and
ends with 1 where one falls short. Each cell is a process of its own; rounds run both engines in
turn, and a figure is the median of the rounds' ratios of CPU seconds with one thread, which other
processes disturb least. lm-eval is the project environment's own (the extra ``dev``).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.evaluation import floor, suites
from benchmarks.training import meter
from benchmarks.training.report import Figure, write

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench")) / "evaluation"
CELL_SECONDS = 1500
LIMITS = {
    "exams_full": 4.8,
    "exams_stem": 4.0,
    "exams_letter": 2.2,
    "xcopa": 2.0,
    "xwinograd": 2.3,
    "bloom": 8.0,
    "adapters": 8.0,
}
"""CPU seconds of lm-eval at batch 8 over ours, at least; of whole processes for the adapters."""
QUESTIONS = {
    "exams_full": 10,
    "exams_stem": 20,
    "exams_letter": 20,
    "xcopa": 20,
    "xwinograd": 40,
    "bloom": 2,
    "adapters": 2,
}
"""Questions of each language. The fewer there are for the adapters, the more a start weighs, which
lm-eval has eight of; ``adapters_over_lm_eval_scoring_only`` is what is left with very many."""
ADAPTERS = 8
SMALLER = 1 / 3
"""Memory above the model over lm-eval's, at most."""
BLOOM_MB = 1000.0
FARTHEST = 1e-4
"""Nats of an option, float32."""
Cell = dict[str, Any]


class Bench:
    """Runs cells and keeps their numbers."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.cells: list[Cell] = []

    def cell(self, engine: str, suite: str, *more: str) -> Cell:
        """Run one cell; raises RuntimeError where it gives no result."""
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.evaluation.cell", engine]
        command += ["--suite", suite, "--work", str(WORK), *more]
        before = _children()
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=WORK, env=_around(), timeout=CELL_SECONDS
        )
        found = meter.heard(done.stdout)
        if found is None:
            said = (done.stderr.strip() or "no result").splitlines()[-1]
            raise RuntimeError(f"{engine} {suite}: {said}")
        found["process_cpu_s"] = round(_children() - before, 2)
        names = ("cpu_s", "wall_s", "process_cpu_s", "memory_mb", "tokens", "cells", "states")
        told = " ".join(f"{name}={found[name]}" for name in names if name in found)
        print(f"# {engine} {suite} {found['base']}: {told}", flush=True)
        kept = {name: value for name, value in found.items() if name not in ("nats", "greedy")}
        self.cells.append({**kept, "load": round(os.getloadavg()[0], 2)})
        return found

    def figures(self, name: str) -> Iterator[Figure]:
        """Yield what is measured under one name."""
        suite = "exams_full" if name in ("bloom", "adapters") else name
        limit = self.told.limit or QUESTIONS[name]
        told = f"{suite}-{limit}"
        prepare(suite, limit, WORK / "questions" / f"{told}.json")
        if name == "adapters":
            yield from self.adapters(told)
            return
        model = ("--model", "bloom" if name == "bloom" else "llama")
        rounds = [
            (self.cell("lm-eval", told, *model), self.cell("ours", told, *model))
            for _ in range(1 if name == "bloom" else self.told.rounds)
        ]
        yield from compared(name, rounds)
        if name != "bloom":
            best = min(ours["cpu_s"] for _, ours in rounds)
            yield Figure(f"{name}_share_of_floor", floor.seconds(rounds[0][1]) / best)

    def adapters(self, told: str) -> Iterator[Figure]:
        """Yield several adapters in one process against a run of lm-eval for each."""
        from benchmarks.evaluation import bases

        paths = [str(path) for path in bases.adapters(WORK, ADAPTERS)]
        theirs = [self.cell("lm-eval", told, "--adapters", path) for path in paths]
        ours = self.cell("ours", told, "--adapters", ",".join(paths))
        for kind, limit in (("process_cpu_s", LIMITS["adapters"]), ("cpu_s", None)):
            ratio = sum(cell[kind] for cell in theirs) / ours[kind]
            name = "adapters_over_lm_eval" + ("_scoring_only" if limit is None else "")
            yield Figure(name, ratio, limit, at_most=False)
        pairs = [(cell["nats"][0], mine) for cell, mine in zip(theirs, ours["nats"], strict=True)]
        yield Figure("adapters_difference", max(farthest(*pair) for pair in pairs), FARTHEST)


def prepare(suite: str, limit: int, path: Path) -> None:
    """Write the token ids of some questions where they are not there."""
    if path.is_file():
        return
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(suites.DATA / "tokenizers" / "llama")
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = suites.encoded(tokenizer, suites.chosen(suite, limit))
    path.write_text(json.dumps(asked), encoding="utf-8")


def compared(name: str, rounds: list[tuple[Cell, Cell]]) -> Iterator[Figure]:
    """Yield the figures of some rounds of (lm-eval, ours)."""
    ratio = median(theirs["cpu_s"] / ours["cpu_s"] for theirs, ours in rounds)
    yield Figure(f"{name}_over_lm_eval", ratio, LIMITS[name], at_most=False)
    smaller = median(ours["memory_mb"] / theirs["memory_mb"] for theirs, ours in rounds)
    yield Figure(f"{name}_memory_over_lm_eval", smaller, SMALLER)
    memory = max(ours["memory_mb"] for _, ours in rounds)
    yield Figure(f"{name}_memory_mb", memory, BLOOM_MB if name == "bloom" else None)
    theirs, ours = rounds[0]
    yield Figure(f"{name}_difference", farthest(theirs["nats"][0], ours["nats"][0]), FARTHEST)
    yield Figure(f"{name}_answers_changed", changed(theirs, ours), 0)
    pairs = zip(theirs["greedy"][0], ours["greedy"][0], strict=True)
    yield Figure(f"{name}_greedy_changed", sum(one != other for one, other in pairs), 0)
    yield Figure(f"{name}_tokens_over_lm_eval", theirs["tokens"] / ours["tokens"])


def farthest(theirs: list[float], ours: list[float]) -> float:
    """Return the largest difference of two lists of log-likelihoods."""
    return max(abs(one - other) for one, other in zip(theirs, ours, strict=True))


def changed(theirs: Cell, ours: Cell) -> int:
    """Return how many questions of equally many options are answered otherwise."""
    options = len(ours["nats"][0]) // ours["questions"]

    def answers(cell: Cell) -> list[int]:
        nats = cell["nats"][0]
        each = [nats[start : start + options] for start in range(0, len(nats), options)]
        return [max(range(options), key=one.__getitem__) for one in each]

    return sum(one != other for one, other in zip(answers(theirs), answers(ours), strict=True))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _around() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def main() -> int:
    """Measure, print, write; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", nargs="*", choices=LIMITS, default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="questions of each language")
    told = parser.parse_args()
    if find_spec("lm_eval") is None:
        print("# lm-eval is not installed: pip install 'bactrian[dev]'", flush=True)
        return 1
    if not suites.DATA.is_dir():
        print(f"# {suites.DATA} is not there: BACTRIAN_DATA names the data", flush=True)
        return 1
    WORK.mkdir(parents=True, exist_ok=True)
    bench, figures = Bench(told), []
    for name in told.only or LIMITS:
        for figure in bench.figures(name):
            print(figure.line(), flush=True)
            figures.append(figure)
    write(HERE.parent / "results", figures, bench.cells, "evaluation")
    return int(any(figure.short for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
