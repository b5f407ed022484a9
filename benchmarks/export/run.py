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
from typing import Any

from benchmarks.export import answers, reading
from benchmarks.training.report import Figure, write

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench")) / "export"
ADAPTER = ROOT / "bactrian-demo" / "adapters" / "multi"
TOKENS = 12
"""Of each greedy answer."""


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
    merged, took = run("export", "merged", adapter, "--to", work / "merged")
    yield Figure("merge_seconds", took, 10)
    merged, _ = run("export", "merged", adapter, "--to", work / "merged32", "--dtype", "float32")
    yield Figure("merged_float32_logits_difference", merged["proof"]["difference"], 1e-4)
    yield from gguf(adapter, work)
    _, took = run("export", "gguf-adapter", adapter, "--to", work / "a.gguf", "--no-proof")
    yield Figure("gguf_adapter_seconds", took)
    yield Figure("gguf_adapter_mb", (work / "a.gguf").stat().st_size / 1e6)
    run("export", "gguf", adapter, "--base-only", "--to", work / "base.gguf", "--no-proof")
    _, took = run("export", "state-dict", adapter, "--to", work / "meta")
    yield Figure("state_dict_seconds", took)
    _, took = run("verify", adapter)
    yield Figure("verify_adapter_seconds", took, 30)
    _, took = run("verify", work / "merged")
    yield Figure("verify_merged_seconds", took, 30)
    wanted = answers.of_base_and_adapter(adapter, TOKENS)
    found = {
        "merged": answers.of_folder(work / "merged32", adapter, TOKENS),
        "gguf_merged": answers.of_gguf(work / "merged.gguf", None, adapter, TOKENS),
        "gguf_adapter": answers.of_gguf(work / "base.gguf", work / "a.gguf", adapter, TOKENS),
        "state_dict": answers.of_state_dict(work / "meta", adapter, TOKENS),
    }
    for name, said in found.items():
        same = sum(one == other for one, other in zip(said, wanted, strict=True))
        share = same / len(wanted)
        yield Figure(f"{name}_answers_the_same", share, 1.0, at_most=False)


def gguf(adapter: Path, work: Path) -> Iterator[Figure]:
    """Yield seconds of the file and of its proof, and how it reads and computes."""
    file = work / "merged.gguf"
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
