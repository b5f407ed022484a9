"""status, as a user types it, beside a run and after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FAKES = Path(__file__).parents[1] / "data" / "fake_providers.py"


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A workspace of 200 rows in Vietnamese with the fake providers."""
    folder = tmp_path / "slow"
    folder.mkdir()
    rows = [{"instruction": f"Name {n + 2} camels.", "output": f"{n} camels"} for n in range(200)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "recipe.toml").write_text(
        """
        name = "toy"
        languages = "vi,km"
        [sources.rows]
        files = ["rows.json"]
        [translate]
        using = "fake"
        concurrency = 2
        price = { characters = 20000 }
        [respond]
        using = "fake"
        price = { input = 0.15, output = 0.6 }
        """,
        encoding="utf-8",
    )
    return folder


@contextmanager
def going(folder: Path, sent: int) -> Iterator[subprocess.Popen[str]]:
    """Run a slow translation elsewhere until so many requests are sent; kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, str(FAKES), "translate", str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "FAKE_SECONDS": "0.05"},
        text=True,
    )
    assert process.stdout is not None
    seen = 0
    while seen < sent:
        seen += process.stdout.readline().startswith("sent")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait()


def test_it_says_where_things_stand_before_anything(run: Run, slow: Path) -> None:
    done = run("status", slow)
    assert done.code == 0
    head, vi, km, sums = done.out.splitlines()
    assert head.split()[:3] == ["language", "translated", "answered"]
    assert vi.split() == ["vi", "0", "0", "0", "0", "0.0000", "0.0000"]
    assert km.split()[0] == "km"
    assert sums == "0.0000 USD spent; 0.0000 USD in all at this cost a row"
    assert not (slow / "runs").exists()
    assert not (slow / "datasets").exists()


def test_beside_a_run_that_is_going_it_shows_the_run_and_its_rate(run: Run, slow: Path) -> None:
    with going(slow, 120) as process:
        told = json.loads(run("status", slow, "--json").out)
        text = run("status", slow).out
    (vi, km) = told["languages"]
    assert vi["translated"]["rows"] == 200
    assert 60 <= vi["translated"]["done"] <= 200
    assert vi["translated"]["cost_usd"] > 0
    assert km["translated"]["done"] == 0
    now = told["run"]
    assert (now["state"], now["verb"], now["pid"]) == ("running", "translate", process.pid)
    assert now["task"] == "translation vi"
    assert f"running (translate, process {process.pid}): translation vi " in text
    if "rate" in now:
        assert now["rate"] > 0
        assert now["seconds_left"] >= 0
        assert "rows/s" in text
        assert "left of this task" in text


def test_after_kill_nine_nothing_is_going_and_what_was_paid_for_is_shown(
    run: Run, slow: Path
) -> None:
    with going(slow, 120):
        pass
    told = json.loads(run("status", slow, "--json").out)
    assert told["run"] is None
    done = told["languages"][0]["translated"]["done"]
    assert 60 <= done <= 130
    text = run("status", slow).out
    assert f"{done}/200" in text
    assert "running" not in text
    spent, coming = (float(part.split()[0]) for part in text.splitlines()[-1].split(";"))
    assert coming == pytest.approx(spent * 200 / done, rel=0.01)
    assert run("runs", slow).out.startswith("killed")


def test_one_language_may_be_asked_for(run: Run, slow: Path) -> None:
    told = json.loads(run("status", slow, "--languages", "km", "--json").out)
    assert [one["language"] for one in told["languages"]] == ["km"]
    assert run("status", slow, "--languages", "jp").code == 4


def test_a_clock_that_was_set_back_breaks_nothing(
    run: Run, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with going(slow, 60):
        monkeypatch.setattr(time, "time", lambda: 0.0)
        told = run("status", slow, "--json")
    assert told.code == 0
    assert json.loads(told.out)["run"]["state"] == "running"
