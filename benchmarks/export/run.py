"""The demo's adapter on its way out: seconds, differences, and the same answers everywhere.

    python -m benchmarks.export.run --adapter bactrian-demo/adapters/multi

Runs the very commands a user runs, each a process of its own, and holds what they wrote against
base + adapter in transformers and PEFT: the merged folder, its GGUF file, the adapter's own GGUF
file over the base's, and the state dict by the formulas of LLaMA's paper. Prints a line a figure,
``name value limit ok|short``, writes results/export-<date>.json, and ends with 1 where one falls
short. Seconds are of the clock, start of Python included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.export import answers, reading
from benchmarks.training.report import Figure, write

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench")) / "export"
ADAPTER = ROOT / "bactrian-demo" / "adapters" / "multi"
TOKENS = 12
"""Of each greedy answer."""
TIE = 0.07
"""Nats: twice what llama.cpp's probabilities lie from the model's in halves."""


def main() -> int:
    """Export, compare, print the figures; 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--adapter", type=Path, default=ADAPTER, help="PEFT folder")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what it writes")
    told = parser.parse_args()
    if not told.adapter.is_dir():
        print(f"# {told.adapter} is not there: run make demo first, or name an --adapter")
        return 1
    shutil.rmtree(told.work, ignore_errors=True)
    told.work.mkdir(parents=True)
    figures = []
    for figure in measured(told.adapter, told.work):
        print(figure.line(), flush=True)
        figures.append(figure)
    write(ROOT / "benchmarks" / "results", figures, [], "export")
    return int(any(figure.short for figure in figures))


def measured(adapter: Path, work: Path) -> Iterator[Figure]:
    """Yield every figure, in the order in which files come about."""
    took = [run("export", "merged", adapter, "--to", work / "m", "--overwrite")[1] for _ in "123"]
    yield Figure("merge_seconds", median(took), 10)
    for kind in ("float32", "float16"):
        merged, _ = run("export", "merged", adapter, "--to", work / kind, "--dtype", kind)
        if kind == "float32":
            yield Figure("merged_float32_logits_difference", merged["proof"]["difference"], 1e-4)
    yield from gguf(adapter, work)
    _, took_alone = run("export", "gguf-adapter", adapter, "--to", work / "a.gguf", "--no-proof")
    yield Figure("gguf_adapter_seconds", took_alone)
    yield Figure("gguf_adapter_mb", (work / "a.gguf").stat().st_size / 1e6)
    for kind in ("f16", "f32"):
        _, took_meta = run("export", "state-dict", adapter, "--to", work / kind, "--dtype", kind)
        yield Figure(f"state_dict_{kind}_seconds", took_meta)
    for name, place in (("adapter", adapter), ("merged", work / "float32")):
        yield Figure(f"verify_{name}_seconds", run("verify", place)[1], 30)
    yield from agreeing(adapter, work)


def agreeing(adapter: Path, work: Path) -> Iterator[Figure]:
    """Yield the share of greedy answers that are the same, each dtype by its own reference.

    Halves are held against the merged folder in halves, computed in float32: rounding alone may
    turn a word where two are as likely, and how often it does is told apart. llama.cpp rounds what
    it multiplies with halves to halves, too: where its answer parts, the two have to be a tie.
    """
    base = ("export", "gguf", "--base-only", "--base", answers.base_of(adapter), "--no-proof")
    run(*base, "--to", work / "base.gguf", "--type", "f32")
    run("export", "gguf-adapter", adapter, "--to", work / "a32.gguf", "--type", "f32", "--no-proof")
    whole = answers.of_base_and_adapter(adapter, TOKENS)
    halves = answers.of_folder(work / "float16", adapter, TOKENS)
    over = answers.of_gguf(work / "base.gguf", work / "a32.gguf", adapter, TOKENS)
    llama_cpp = answers.of_gguf(work / "f16.gguf", None, adapter, TOKENS)
    for name, found, wanted in (
        ("merged_f32", answers.of_folder(work / "float32", adapter, TOKENS), whole),
        ("gguf_merged_f32", answers.of_gguf(work / "f32.gguf", None, adapter, TOKENS), whole),
        ("gguf_base_and_adapter_f32", over, whole),
        ("state_dict_f32", answers.of_state_dict(work / "f32", adapter, TOKENS), whole),
        ("state_dict_f16", answers.of_state_dict(work / "f16", adapter, TOKENS), halves),
    ):
        yield Figure(f"{name}_answers_the_same", _same(found, wanted), 1.0, at_most=False)
    yield Figure("halves_answer_as_float32", _same(halves, whole))
    yield Figure("gguf_merged_f16_answers_the_same", _same(llama_cpp, halves))
    apart = answers.parting(work / "float16", adapter, llama_cpp, halves)
    yield Figure("gguf_merged_f16_parts_at_most_at_nats", apart, TIE)


def _same(found: answers.Answers, wanted: answers.Answers) -> float:
    """Return the share of answers that are equal."""
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def gguf(adapter: Path, work: Path) -> Iterator[Figure]:
    """Yield seconds of the file and of its proof, and how it reads and computes."""
    file = work / "f16.gguf"
    _, bare = run("export", "gguf", adapter, "--to", file, "--type", "f16", "--no-proof")
    yield Figure("gguf_seconds", bare, 20)
    proved = run("export", "gguf", adapter, "--to", file, "--type", "f16", "--overwrite")
    yield Figure("gguf_proof_seconds", proved[1] - bare, 30)
    exact, _ = run("export", "gguf", adapter, "--to", work / "f32.gguf", "--type", "f32")
    yield Figure("gguf_f32_difference_nats", exact["proof"]["logits"]["largest"], 0.01)
    yield Figure("gguf_f16_difference_nats", proved[0]["proof"]["logits"]["largest"])
    if (told := reading.compared(file, adapter)) is not None:
        yield Figure("gguf_texts_compared", told.texts)
        yield Figure("gguf_texts_read_otherwise", told.otherwise, 0)


def run(*words: object) -> tuple[Any, float]:
    """Run a verb; return its JSON and the seconds it took."""
    command = [sys.executable, "-m", "bactrian", *map(str, words), "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), took


if __name__ == "__main__":
    sys.exit(main())
