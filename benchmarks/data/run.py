"""The data engine beside its peers, in one run against one misbehaving fake provider.

    python benchmarks/data/run.py                      every figure, this project and plain aiohttp
    python benchmarks/data/run.py --peers              the peers too (their environments take 3 GB)
    python benchmarks/data/run.py --only speed kill
    python benchmarks/data/run.py --long               3.4 million rows and fifty kills as well

Prints a line a figure, ``name value limit ok|short``, writes results/data-<date>.json, and ends
with 1 where one falls short. The fake provider and the peers' clients are the project's shared
bench (BACTRIAN_BENCH, by default ../shared/bench beside the checkout); without it there is nothing
to measure against, and that is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHARED = Path(os.environ.get("BACTRIAN_BENCH", ROOT.parent / "shared" / "bench"))
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench"))
PEERS = ("openai_sdk_aiohttp", "curator", "litellm", "datatrove", "dspy", "distilabel")
PLAIN = "raw_aiohttp"
GROUP_SECONDS = 0.05


@dataclass(frozen=True)
class Figure:
    """One measured number and what it has to reach."""

    name: str
    value: float
    limit: float | None = None
    at_most: bool = True

    @property
    def short(self) -> bool:
        """The number does not reach its limit."""
        if self.limit is None:
            return False
        return self.value > self.limit if self.at_most else self.value < self.limit

    def line(self) -> str:
        """Return ``name value limit ok|short``."""
        if self.limit is None:
            return f"{self.name} {self.value:g} - ok"
        sign = "<=" if self.at_most else ">="
        return f"{self.name} {self.value:g} {sign}{self.limit:g} {'short' if self.short else 'ok'}"


class Bench:
    """The shared runner with this project among its clients."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.runner = _load(SHARED / "datagen" / "run.py")
        self.runner.CLIENTS["ours"] = ("ours", str(HERE / "ours.py"), [])
        self.rows: list[dict[str, Any]] = []
        _own_python(WORK / "venvs" / "ours" / "bin" / "python")
        self.peers = [
            name
            for name in (PEERS if told.peers else ())
            if (WORK / "venvs" / self.runner.CLIENTS[name][0]).is_dir()
        ]

    def do(self, mode: str, client: str, concurrency: int, **more: Any) -> dict[str, Any]:
        """Run one client in one mode; every number of the run is kept for the results file."""
        settings = argparse.Namespace(
            venvs=str(WORK / "venvs"),
            work=str(WORK / "data"),
            port=self.told.port,
            latency_ms=more.pop("latency_ms", 50),
            limit=more.pop("limit", 300),
            rpm=12000,
            n=more.pop("n", 5000),
        )
        out = WORK / "data" / f"{mode}-{client}-{concurrency}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        row: dict[str, Any] = getattr(self.runner, f"do_{mode}")(
            settings, client, concurrency, str(out)
        )
        self.rows.append({"mode": mode, **row})
        print(f"# {mode} {client} {_short(row)}", flush=True)
        return row


def speed(bench: Bench) -> Iterator[Figure]:
    """Yield requests a second and CPU at 256 in flight, 50 ms, with plain aiohttp in turns."""
    ours, plain = [], []
    for _ in range(bench.told.repeat):
        ours.append(bench.do("speed", "ours", 256, n=40000))
        plain.append(bench.do("speed", PLAIN, 256, n=40000))
    for peer in bench.peers:
        bench.do("speed", peer, 256, n=2000)
    pairs = [a["req_s"] / b["req_s"] for a, b in zip(ours, plain, strict=True)]
    yield Figure("requests_per_s", _median(ours, "req_s"), 4000, at_most=False)
    yield Figure("ratio_to_plain_aiohttp", statistics.median(pairs), 1.0, at_most=False)
    yield Figure("cpu_s_per_1000", _median(ours, "cpu_s_per_1000"), 0.2)
    yield Figure("plain_aiohttp_requests_per_s", _median(plain, "req_s"))
    yield Figure("plain_aiohttp_cpu_s_per_1000", _median(plain, "cpu_s_per_1000"))


def kill(bench: Bench) -> Iterator[Figure]:
    """Yield what a kill -9 at half costs: the same command again."""
    row = bench.do("kill", "ours", 64, n=3000)
    for peer in bench.peers:
        bench.do("kill", peer, 64, n=3000, limit=120)
    group = 64 / 0.05 * GROUP_SECONDS  # in flight over latency: what arrives in one group
    yield Figure("kill_paid_twice", row["paid_twice"], 64 + group)
    yield Figure("kill_rows_lost", row["lost"], 0)
    yield Figure("kill_rows_doubled", row["duplicates"], 0)


def faults(bench: Bench) -> Iterator[Figure]:
    """Yield what 5 % 429, 1 % 500, cut bodies and dropped connections cost."""
    row = bench.do("faults", "ours", 64, n=1500)
    sketch = bench.do("faults", "ideal_ledger", 64, n=1500)
    for peer in bench.peers:
        bench.do("faults", peer, 64, n=1500, limit=120)
    yield Figure("faults_rows_lost", row["lost"], 0)
    yield Figure("faults_early_retries", row["early_retries"], 0)
    yield Figure("faults_seconds", row["wall_s"], 8 / 5.2 * sketch["wall_s"])


def limits(bench: Bench) -> Iterator[Figure]:
    """Yield how much of 12,000 requests a minute is used, and how often it is refused."""
    row = bench.do("limits", "ours", 64, n=2000)
    for peer in bench.peers:
        bench.do("limits", peer, 64, n=2000, limit=120)
    yield Figure("limit_refused", row["refused"], 0)
    yield Figure("limit_share_used", row["share_of_limit"], 0.97, at_most=False)


def extend(bench: Bench) -> Iterator[Figure]:
    """Yield what a job costs that grew by 100 rows of 1,000."""
    row = bench.do("extend", "ours", 64, n=1000)
    for peer in bench.peers:
        bench.do("extend", peer, 64, n=1000, limit=120)
    yield Figure("grown_by_100_paid", row["paid_for_them"], 100)
    yield Figure("grown_by_100_rows", row["ids"], 1100, at_most=False)


def twice(bench: Bench) -> Iterator[Figure]:
    """Yield what is paid for 1,000 texts that are asked for three times each."""
    settings = argparse.Namespace(
        venvs=str(WORK / "venvs"), work=str(WORK / "data"), port=bench.told.port, latency_ms=50
    )
    out = WORK / "data" / "twice"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    mock = bench.runner.Mock(settings)
    try:
        row = bench.runner.one(settings, mock, "ours", 1000, 64, str(out), ("--times", "3"))
    finally:
        mock.close()
    bench.rows.append({"mode": "twice", **row})
    yield Figure("asked_thrice_paid_of_1000", row["stats"]["paid"], 1000)
    yield Figure("asked_thrice_answered", row["report"]["rows"], 1000, at_most=False)


def memory(bench: Bench) -> Iterator[Figure]:
    """Yield bytes of memory a row, from 100,000 to 400,000 rows."""
    row = bench.do("memory", "ours", 256, n=100_000, latency_ms=1, limit=900)
    yield Figure("memory_bytes_per_row", row["kb_per_row"] * 1024, 100)


def long(bench: Bench) -> Iterator[Figure]:
    """Yield the peak memory of 3.4 million rows, and the sum of fifty kills at random moments."""
    row = bench.do("speed", "ours", 256, n=3_400_000, latency_ms=0, limit=3600)
    yield Figure("peak_mb_3_4_million_rows", row["rss_mb"], 1024)
    yield Figure("rows_3_4_million", row["report"].get("ids", 0), 3_400_000, at_most=False)
    yield from fifty_kills(bench)


def fifty_kills(bench: Bench) -> Iterator[Figure]:
    """Yield what fifty kills at random moments cost, each within the bound of one."""
    told, runner = bench.told, bench.runner
    settings = argparse.Namespace(
        venvs=str(WORK / "venvs"), work=str(WORK / "data"), port=told.port, latency_ms=50
    )
    chance = random.Random(0)
    worst = lost = 0.0
    out = WORK / "data" / "kills"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    mock = runner.Mock(settings)
    try:
        runner.get(told.port, "/reset")
        before = 0
        for number in range(50):
            process = runner.start(settings, "ours", 40_000, 64, str(out))
            time.sleep(0.5 + chance.random())
            runner.killtree(process)
            time.sleep(0.2)
            twice = mock.stats()["paid_twice"]
            worst, before = max(worst, twice - before), twice
            print(f"# kill {number + 1} of 50: {twice} paid twice so far", flush=True)
        report = runner.finish(runner.start(settings, "ours", 40_000, 64, str(out)), 300)
        stats = mock.stats()
        lost = 40_000 - report.get("ids", 0)
        bench.rows.append({"mode": "fifty_kills", "client": "ours", "report": report, **stats})
    finally:
        mock.close()
    yield Figure("fifty_kills_worst_paid_twice", worst, 64 + 64 / 0.05 * GROUP_SECONDS)
    yield Figure("fifty_kills_rows_lost", lost, 0)


FIGURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "speed": speed,
    "kill": kill,
    "faults": faults,
    "limits": limits,
    "extend": extend,
    "twice": twice,
    "memory": memory,
    "long": long,
}


def main() -> int:
    """Measure, print, write; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=[])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--port", type=int, default=8099)
    told = parser.parse_args()
    if not (SHARED / "datagen" / "run.py").is_file():
        print(f"skipped: no fake provider at {SHARED}; set BACTRIAN_BENCH to its folder")
        return 0
    _environments(told.peers)
    bench = Bench(told)
    figures: list[Figure] = []
    for name, measure in FIGURES.items():
        if name in told.only or (not told.only and (name != "long" or told.long)):
            for figure in measure(bench):
                print(figure.line(), flush=True)
                figures.append(figure)
    _write(bench, figures)
    return int(any(figure.short for figure in figures))


def _environments(peers: bool) -> None:
    """Make the virtual environment of the fake provider, and those of the peers where asked."""
    if peers and not (WORK / "venvs" / "distilabel").is_dir():
        subprocess.run(
            ["bash", str(SHARED / "datagen" / "make_venvs.sh"), str(WORK / "venvs")], check=True
        )
    raw = WORK / "venvs" / "raw"
    if not raw.is_dir():
        subprocess.run([sys.executable, "-m", "venv", str(raw)], check=True)
        packages = ["aiohttp", "uvloop", "orjson"]
        subprocess.run([str(raw / "bin" / "pip"), "install", "-q", *packages], check=True)


def _own_python(path: Path) -> None:
    """Leave a script where the runner looks for this project's interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def _write(bench: Bench, figures: list[Figure]) -> None:
    """Write the day's results; what was measured earlier and not again stays."""
    path = HERE.parent / "results" / f"data-{time.strftime('%Y-%m-%d')}.json"
    before = json.loads(path.read_bytes()) if path.is_file() else {}
    again = {(row["mode"], row["client"], row.get("n")) for row in bench.rows}
    told = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "figures": {
            **before.get("figures", {}),
            **{figure.name: figure.value for figure in figures},
        },
        "runs": [
            row
            for row in before.get("runs", ())
            if (row["mode"], row["client"], row.get("n")) not in again
        ]
        + bench.rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("shared_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _median(rows: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(row[name] for row in rows))


def _short(row: dict[str, Any]) -> str:
    names = [
        "req_s",
        "cpu_s_per_1000",
        "wall_s",
        "rss_mb",
        "paid_twice",
        "lost",
        "early_retries",
        "share_of_limit",
    ]
    return " ".join(f"{name}={row[name]}" for name in names if row.get(name) is not None)


if __name__ == "__main__":
    sys.exit(main())
