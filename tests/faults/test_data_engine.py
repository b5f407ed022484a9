"""The data verbs where something is wrong: two lines, an exit code, nothing paid for lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import bactrian.ledger
from bactrian.ledger import Ledger, key_of
from bactrian.ledger.tables import connect

FAKES = Path(__file__).parents[1] / "data" / "fake_providers.py"
ROWS = 60
SECRET = "sk-very-secret-0123456789"
DOWN = "http://127.0.0.1:9/v1"
"""Nobody listens there."""


class Outcome(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def ledger_of(folder: Path) -> Path:
    return folder / "datasets/toy/ledger/vi.sqlite"


def answers(folder: Path, kind: str = "translation") -> dict[str, str]:
    """Return the committed answers of a kind by key."""
    with Ledger(ledger_of(folder), read_only=True) as ledger:
        return {entry.key: entry.output for entry in ledger.entries() if entry.kind == kind}


def refused(done: Outcome, code: int, problem: str, hint: str = "") -> None:
    """Assert that there are exactly two lines, with these words, and this exit code."""
    lines = done.err.strip().splitlines()
    assert done.code == code, done.err
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: ")
    assert problem in lines[0], lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1], lines[1]
    assert SECRET not in done.out + done.err


# -- the provider ----------------------------------------------------------------------------------


class Service:
    """Chat completions on loopback that refuse every request the same way."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.requests = 0
        data = json.dumps(body).encode()
        service = self

        class Refusing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                service.requests += 1
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def refusing() -> Iterator[Callable[..., Service]]:
    """Start services that refuse everything."""
    running: list[Service] = []

    def start(status: int, **error: Any) -> Service:
        running.append(Service(status, {"error": error}))
        return running[-1]

    yield start
    for service in running:
        service.close()


def chat(address: str) -> list[str]:
    """Return what makes the chat model of a recipe one at an address."""
    told = (
        'respond.using="openai"',
        'respond.model="gpt-9"',
        'respond.keys=["BACTRIAN_TEST_KEY"]',
        f'respond.endpoints=["{address}"]',
    )
    return [word for one in told for word in ("--set", one)]


@pytest.mark.parametrize(
    ("status", "error", "problem"),
    [
        (401, {"message": f"Incorrect API key: {SECRET}"}, "refuses the key BACTRIAN_TEST_KEY"),
        (403, {"message": "no access"}, "refuses the key BACTRIAN_TEST_KEY"),
        (404, {"message": "The model gpt-9 does not exist"}, "knows no such model or address"),
        (402, {"message": "Payment required"}, "has no credit left for BACTRIAN_TEST_KEY"),
        (429, {"code": "insufficient_quota", "message": "Quota"}, "has no credit left"),
    ],
    ids=["wrong-key", "forbidden-key", "unknown-model", "no-credit", "no-quota"],
)
def test_a_provider_that_will_not_answer_ends_the_run_and_costs_nothing(
    run: Run,
    folder: Path,
    script: Any,
    refusing: Callable[..., Service],
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    error: dict[str, str],
    problem: str,
) -> None:
    monkeypatch.setenv("BACTRIAN_TEST_KEY", SECRET)
    service = refusing(status, **error)
    for verb in ("build", "respond"):
        refused(run(verb, folder, *chat(service.address)), 6, problem)
        assert len(answers(folder)) == ROWS, "what was translated before"
        assert answers(folder, "response") == {}
    # two at once in each of two runs: nobody goes on after the first refusal
    assert service.requests <= 4
    script.clear()
    assert run("build", folder).code == 0
    assert len(script.sent) == ROWS, "the translations are not paid for again"


def test_no_key_is_said_before_anything_is_sent(run: Run, folder: Path, script: Any) -> None:
    run("translate", folder)
    done = run("respond", folder, *chat(DOWN))
    refused(done, 6, "no key: BACTRIAN_TEST_KEY is not set", "export BACTRIAN_TEST_KEY=…")


def test_no_network_ends_the_run_and_nothing_is_lost(
    run: Run, folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACTRIAN_TEST_KEY", SECRET)
    began = time.monotonic()
    done = run("build", folder, *chat(DOWN), "--set", "respond.concurrency=16")
    refused(done, 6, "cannot be reached", "check the network, endpoints =")
    assert time.monotonic() - began < 20
    assert len(answers(folder)) == ROWS
    assert run("build", folder).code == 0


@pytest.mark.parametrize("verb", ["translate", "respond"])
def test_an_engine_that_is_none_is_refused(run: Run, folder: Path, script: Any, verb: str) -> None:
    refused(run(verb, folder, "--engine", "steam"), 2, "unknown engine steam", "--engine ray")
    assert script.sent == []


@pytest.mark.parametrize("verb", ["translate", "build", "plan"])
def test_a_pair_that_the_translator_does_not_take_is_said_before_anything_is_paid(
    run: Run, folder: Path, script: Any, verb: str
) -> None:
    words = ["--set", 'translate.using="apertium"', "--languages", "es,km"]
    pilot = ["--pilot", "8"] if verb == "plan" else []
    done = run(verb, folder, *words, *pilot)
    refused(done, 4, "apertium does not translate English into Khmer", "--languages all,!km")
    assert script.sent == []
    assert not ledger_of(folder).parent.exists()


# -- the machine -----------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_loses_no_answer_and_no_money(
    run: Run, folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("build", folder, "--limit", 20)
    now = [1e9]

    def earlier() -> float:
        now[0] -= 3600.0
        return now[0]

    monkeypatch.setattr(time, "time", earlier)
    done = run("build", folder)
    assert done.code == 0, done.err
    assert len(script.sent) == 2 * ROWS, "nothing twice"
    with Ledger(ledger_of(folder), read_only=True) as ledger:
        sums = ledger.totals()
        assert sum(total.answers for total in sums) == len(ledger) == 2 * ROWS
        cost = sum(entry.cost_usd for entry in ledger.entries())
        assert sum(total.cost_usd for total in sums) == pytest.approx(cost)
    script.clear()
    assert run("build", folder).code == 0
    assert script.sent == []
    assert run("status", folder).code == 0


def test_a_disk_that_fills_up_in_the_middle_of_a_commit(
    run: Run, folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("translate", folder, "--limit", 20)
    before = answers(folder)
    with sqlite3.connect(ledger_of(folder)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()

    def small(path: Path, read_only: bool) -> sqlite3.Connection:
        connection = connect(path, read_only)
        # a limit on pages gives the very error of a full disk, SQLITE_FULL
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return connection

    script.clear()
    script.seconds = 0.05  # eight answers in the time of a group
    with monkeypatch.context() as patch:
        patch.setattr(bactrian.ledger, "connect", small)
        done = run("build", folder)
    refused(done, 9, "vi.sqlite could not be written: database or disk is full", "free some disk")
    assert before.items() <= answers(folder).items()
    full = answers(folder)
    sent = {key_of(request) for request in script.clear()}
    script.seconds = 0.0
    assert run("build", folder).code == 0
    again = {key_of(request) for request in script.sent}
    assert not again & full.keys(), "paid for twice though it was committed"
    assert len(sent & again) <= 40, "more was lost than a group and what was in flight"
    assert len(answers(folder)) == len(answers(folder, "response")) == ROWS


UNDER = """
mount -t tmpfs -o size=1600k full "$DISK" || exit 99
cp "$FOLDER"/* "$DISK" && cd "$DISK"
"$PYTHON" "$FAKES" build . > "$OUT/first.out" 2> "$OUT/first.err"; echo $? > "$OUT/first"
cp -r datasets/toy/ledger "$OUT/full"
mount -o remount,size=64m "$DISK"
"$PYTHON" "$FAKES" build . > "$OUT/second.out" 2> "$OUT/second.err"; echo $? > "$OUT/second"
cp -r datasets "$OUT"
"""


def test_a_real_disk_that_is_full_and_then_is_not(folder: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, so that nothing else sees the small disk."""
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    rows = [{"instruction": f"Tell {n}: {'long ' * 1000}", "output": "x"} for n in range(120)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    places = {"DISK": disk, "FOLDER": folder, "OUT": out, "PYTHON": sys.executable, "FAKES": FAKES}
    environment = {**os.environ, **{name: str(value) for name, value in places.items()}}
    if (unshare := shutil.which("unshare")) is None:
        pytest.skip("no unshare here")
    command = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", UNDER]
    ended = subprocess.run(
        command, env={**environment, "FAKE_SECONDS": "0.001"}, capture_output=True, check=False
    )
    if not (out / "second").is_file():
        pytest.skip(f"no small disk can be mounted here: {ended.stderr.decode()[-200:]}")
    told = [(out / f"first.{name}").read_text(encoding="utf-8") for name in ("out", "err")]
    code = int((out / "first").read_text())
    assert code in (8, 9), "the ledger, or what is told of the run, finds the disk full first"
    refused(Outcome(code, *told), code, "", "space")
    with Ledger(out / "full/vi.sqlite", read_only=True) as ledger:
        kept = {entry.key for entry in ledger.entries()}
    assert 20 < len(kept) < 240
    assert (out / "second").read_text().strip() == "0", (out / "second.err").read_text()
    sent = {
        line.split()[1]
        for line in (out / "second.out").read_text(encoding="utf-8").splitlines()
        if line.startswith("sent")
    }
    assert not sent & kept, "paid for twice though it was committed"
    with Ledger(out / "datasets/toy/ledger/vi.sqlite", read_only=True) as ledger:
        assert len(ledger) == 240


# -- a provider that misbehaves, on the whole road -------------------------------------------------

MOCK = Path(__file__).parents[3] / "shared" / "bench" / "mock_openai.py"


@pytest.mark.skipif(not MOCK.is_file(), reason="the fake provider (../shared/bench) is not here")
def test_the_whole_road_past_a_provider_that_stumbles_counts_every_cent(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = "--latency-ms 5 --rate-429 .08 --retry-after .2 --rate-500 .03 --rate-malformed .03"
    server = subprocess.Popen(
        [sys.executable, str(MOCK), "--host", "127.0.0.1", "--port", "0", *flags.split()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())["listening"].removesuffix("/v1")
    monkeypatch.setenv("BACTRIAN_TEST_KEY", SECRET)
    told = (
        'translate.using="google"',
        'translate.model="nmt"',
        f'translate.endpoints=["{address}"]',
        'translate.keys=["BACTRIAN_TEST_KEY"]',
        'respond.using="openai"',
        'respond.model="mock"',
        f'respond.endpoints=["{address}/v1"]',
        "respond.retries={language=0,refusal=0}",
    )
    try:
        done = run("build", folder, *(word for one in told for word in ("--set", one)))
    finally:
        server.terminate()
        stats = json.loads(server.communicate(timeout=10)[0])
    assert done.code == 0, done.err
    assert "vi  60 translated" in done.out
    assert "vi  60 answered" in done.out
    with Ledger(ledger_of(folder), read_only=True) as ledger:
        sums = {total.kind: total for total in ledger.totals()}
    response = sums["response"]
    assert response.answers == ROWS
    assert response.answers + response.charges == stats["paid"]
