"""Ledgers that are half there, damaged, newer or in use are left alone, and nothing paid twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.ledger import VERSION, Ledger, key_of

FAKES = Path(__file__).parents[1] / "data" / "fake_providers.py"
ROWS = 60
Run = Callable[..., Any]


def ledger_of(folder: Path) -> Path:
    return folder / "datasets/toy/ledger/vi.sqlite"


def answers(folder: Path, kind: str = "translation") -> dict[str, str]:
    """Return the committed answers of a kind by key."""
    with Ledger(ledger_of(folder), read_only=True) as ledger:
        return {entry.key: entry.output for entry in ledger.entries() if entry.kind == kind}


def refused(done: Any, code: int, problem: str, hint: str = "") -> None:
    """Assert that there are exactly two lines, with these words, and this exit code."""
    lines = done.err.strip().splitlines()
    assert done.code == code, done.err
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: ")
    assert problem in lines[0], lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1], lines[1]


CUTS = (
    0.0,
    1,
    50,
    100,
    4096,
    5000,
    0.25,
    0.5,
    0.75,
    0.9,
    -4096,
)
"""Bytes that are left of a ledger, or the share of it; negative ones are missing at its end."""


@pytest.mark.parametrize("cut", CUTS)
def test_half_a_ledger_is_said_and_left_as_it_is(
    run: Run, folder: Path, script: Any, cut: float
) -> None:
    run("translate", folder)
    whole = ledger_of(folder).read_bytes()
    left = int(cut * len(whole)) if isinstance(cut, float) else int(cut)
    half = whole[:left]
    script.clear()
    for verb in ("translate", "build", "respond", "plan", "status"):
        ledger_of(folder).write_bytes(half)
        (folder / "datasets/toy/stages/translated/vi.parquet").unlink(missing_ok=True)
        if verb == "respond":
            table.write(folder / "datasets/toy/stages/translated/vi.parquet", (), "nothing")
        done = run(verb, folder)
        if len(half) <= 1:  # to SQLite that is a new file, as if nothing had been paid for yet
            assert done.code == 0, done.err
            continue
        assert "Traceback" not in done.err
        refused(done, 9, "vi.sqlite", "restore it from a copy")
        assert ledger_of(folder).read_bytes() == half, "made worse"
        assert script.sent == []
    ledger_of(folder).write_bytes(whole)
    script.clear()
    assert run("build", folder).code == 0
    assert len(script.sent) == ROWS


def test_an_answer_that_is_damaged_is_named(run: Run, folder: Path, script: Any) -> None:
    run("translate", folder)
    with sqlite3.connect(ledger_of(folder)) as connection:
        connection.execute("UPDATE answers SET output = '[\"half' WHERE rowid = 7")
    connection.close()
    (folder / "datasets/toy/stages/translated/vi.parquet").unlink()
    refused(run("build", folder), 9, "in the ledger is damaged", "restore the ledger from a copy")


def test_a_ledger_of_a_newer_version_is_left_alone(run: Run, folder: Path, script: Any) -> None:
    run("translate", folder)
    with sqlite3.connect(ledger_of(folder)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = ledger_of(folder).read_bytes()
    script.clear()
    words: list[tuple[str, ...]] = [(verb, str(folder)) for verb in ("translate", "build", "plan")]
    words += [("status", str(folder)), ("respond", str(folder)), ("ledger", "show", str(folder))]
    for told in words:
        refused(run(*told), 9, "was written by a newer bactrian", "pip install -U bactrian")
    assert ledger_of(folder).read_bytes() == before
    assert script.sent == []


def test_a_second_run_on_a_ledger_is_refused_with_the_pid_of_the_first(
    run: Run, folder: Path, script: Any
) -> None:
    first = subprocess.Popen(
        [sys.executable, str(FAKES), "build", str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "FAKE_SECONDS": "0.05"},
        text=True,
    )
    assert first.stdout is not None
    try:
        while not first.stdout.readline().startswith("sent"):
            pass
        problem = f"vi.sqlite is in use by process {first.pid}"
        for verb in ("translate", "build"):
            refused(run(verb, folder), 8, problem, f"or stop it: kill {first.pid}")
        assert script.sent == []
        assert first.poll() is None, "the first was disturbed"
    finally:
        first.send_signal(signal.SIGKILL)
        first.stdout.close()
        first.wait()
    kept = answers(folder)
    assert run("build", folder).code == 0, "the lock of a dead process holds nobody up"
    asked = {key_of(request) for request in script.sent}
    assert not asked & kept.keys()
