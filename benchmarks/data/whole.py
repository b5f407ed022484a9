"""The whole job against the fake provider: 52,002 instructions in 52 languages, killed twice.

    python benchmarks/data/whole.py [--rows 52002] [--languages all] [--folder whole-run]

Starts the fake provider, runs ``bactrian build``, kills it with -9 after a third and after two
thirds of the responses, runs it to the end, counts what went in, what came out and what was paid,
and opens the folder with ``load_dataset``. Prints a line a figure and ends with 1 where one falls
short. The check of the language is left out: the fake provider answers in English.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from run import HERE, ROOT, SHARED, WORK, Figure, _environments

PORT = 8098
IN_FLIGHT, CALLS = 256, 16
BATCH = 64
RECIPE = """
name = "whole"
languages = "{languages}"
limit = {rows}

[sources.alpaca]
files = ["{alpaca}"]
licence = "CC-BY-NC-4.0"

[budget]
usd = 100000

[translate]
using = "google"
model = "nmt"
endpoints = ["http://127.0.0.1:{port}"]
keys = ["BACTRIAN_BENCH_KEY"]
concurrency = {calls}

[respond]
using = "openai"
model = "gpt-4o-mini"
endpoints = ["http://127.0.0.1:{port}/v1"]
concurrency = {in_flight}
max_tokens = 512
retries = {{ language = 0, refusal = 0 }}

[check]
names = ["empty"]

[build]
validation = {validation}
"""


def stats() -> dict[str, Any]:
    """Return what the fake provider has counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/stats", timeout=30) as reply:
        counted: dict[str, Any] = json.load(reply)
        return counted


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held so far, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def build(folder: Path, until: float) -> tuple[int, float, float]:
    """Run the verb; kill it when so many responses are paid. Return (exit code, seconds, MB)."""
    command = [sys.executable, "-m", "bactrian", "build", str(folder)]
    environment = {**os.environ, "BACTRIAN_BENCH_KEY": "none"}
    began, peak = time.monotonic(), 0.0
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        while process.poll() is None:
            peak = max(peak, peak_mb(process.pid))
            if until and stats()["paid"] >= until:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.5)
    return process.returncode, time.monotonic() - began, peak


def opened(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return the rows that ``load_dataset`` finds in every split of every language."""
    from datasets import get_dataset_config_names, load_dataset
    from pyarrow.parquet import ParquetFile

    path = str(folder / "datasets" / "whole")
    names = get_dataset_config_names(path)
    cache = str(folder / "cache")
    rows = {}
    for name in names:
        splits = load_dataset(path, name, cache_dir=cache)
        rows[name] = {split: part.num_rows for split, part in splits.items()}
        # what the checks rejected lies beside, outside the configuration that is trained on
        beside = folder / "datasets" / "whole" / "data" / name / "rejected-00000-of-00001.parquet"
        rows[name]["rejected"] = ParquetFile(beside).metadata.num_rows
    return sum(sum(counts.values()) for counts in rows.values()), rows


def main() -> int:
    """Run the job, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=52_002)
    parser.add_argument("--languages", default="all")
    parser.add_argument("--folder", type=Path, default=WORK / "whole")
    told = parser.parse_args()
    alpaca = SHARED.parent / "data" / "alpaca" / "alpaca_data.json.gz"
    if not alpaca.is_file():
        print(f"skipped: no Alpaca at {alpaca}")
        return 0
    _environments(peers=False)
    told.folder.mkdir(parents=True, exist_ok=True)
    recipe = RECIPE.format(
        languages=told.languages,
        rows=told.rows,
        alpaca=alpaca,
        port=PORT,
        calls=CALLS,
        in_flight=IN_FLIGHT,
        validation=max(1, told.rows // 26),
    )
    (told.folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    mock = [str(WORK / "venvs" / "raw" / "bin" / "python"), str(SHARED / "mock_openai.py")]
    server = subprocess.Popen([*mock, "--port", str(PORT), "--latency-ms", "5"])
    try:
        time.sleep(1)
        figures = list(measured(told.folder, told.rows, told.languages))
    finally:
        server.terminate()
    for figure in figures:
        print(figure.line(), flush=True)
    values = {figure.name: figure.value for figure in figures}
    result = HERE.parent / "results" / f"whole-{time.strftime('%Y-%m-%d')}.json"
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return int(any(figure.short for figure in figures))


def measured(folder: Path, rows: int, languages: str) -> list[Figure]:
    """Run the job in three parts and return what can be counted of it."""
    sys.path.insert(0, str(ROOT / "src"))
    from bactrian.languages import parse
    from bactrian.ledger import Ledger

    targets = [language for language in parse(languages) if language.code != "en"]
    per_language = rows * len(targets)
    seconds = peak = 0.0
    for until in (per_language / 3, per_language * 2 / 3, 0):
        code, took, most = build(folder, until)
        seconds, peak = seconds + took, max(peak, most)
        print(f"# ended with {code} after {took:.0f} s, {stats()['paid']:,} paid", flush=True)
    found, by_language = opened(folder)
    counted, spent, answers = stats(), 0.0, 0
    for path in sorted((folder / "datasets" / "whole" / "ledger").glob("*.sqlite")):
        with Ledger(path, read_only=True) as ledger:
            for total in ledger.totals():
                spent += total.cost_usd
                answers += total.answers * (total.kind == "response")
    asked_twice = counted["paid"] - answers
    return [
        Figure("languages", len(by_language), len(parse(languages)), at_most=False),
        Figure("rows_in_splits", found, rows * len(parse(languages)), at_most=False),
        Figure("rows_too_many", found - rows * len(parse(languages)), 0),
        Figure("exit_code", code, 0),
        Figure("paid_not_in_ledger", asked_twice, 2 * (IN_FLIGHT + 4000 * 0.05 + 50)),
        Figure("seconds", seconds),
        Figure("rows_per_s", per_language / seconds),
        Figure("peak_mb", peak, 1024),
        Figure("usd_in_ledger", round(spent, 2)),
    ]


if __name__ == "__main__":
    sys.exit(main())
