"""What a run leaves, and where it says it stands, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest

from bactrian import __version__, events, runs
from bactrian.errors import DataError
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.recipe import Recipe, load
from bactrian.runs import Run, every_run, run

RECIPE = Recipe(name="toy", languages="vi")
COMMAND = ["bactrian", "check", "my folder", "--set", "a=b"]
WORK = """
import sys
from pathlib import Path
from bactrian.recipe import Recipe
from bactrian.runs import run
with run(Path(sys.argv[1]), "check", Recipe(name="toy"), ["bactrian"]) as made:
    print(made.path, flush=True)
    sys.stdin.read()
"""


def test_a_run_directory_says_everything(tmp_path: Path) -> None:
    with run(tmp_path, "check", RECIPE, COMMAND) as made:
        emit("note", text="half way")
        emit("progress", task="check vi", done=3, total=9)
    assert made.path.parent == tmp_path
    assert made.path.name.endswith("-check-toy")
    assert load(made.path / "recipe.toml") == RECIPE
    command = (made.path / "command.txt").read_text(encoding="utf-8")
    assert command == "bactrian check 'my folder' --set a=b\n"
    environment = orjson.loads((made.path / "environment.json").read_bytes())
    assert environment["versions"]["bactrian"] == __version__
    assert environment["versions"]["pyarrow"]
    assert environment["cores"] == os.cpu_count()
    assert [event["kind"] for event in events.read(made.events)] == ["note", "progress"]
    names = {path.name for path in made.path.iterdir()}
    assert names == {
        ".lock",
        "recipe.toml",
        "command.txt",
        "environment.json",
        "status.json",
        "events.jsonl",
    }


def test_a_run_is_running_and_then_done(tmp_path: Path) -> None:
    before = time.time()
    with run(tmp_path, "check", RECIPE, COMMAND) as made:
        status = made.status
        assert (status.state, status.verb, status.name) == ("running", "check", "toy")
        assert status.pid == os.getpid()
        assert before <= status.started <= time.time()
        emit("progress", task="check vi", done=3, total=9)
    status = made.status
    assert (status.state, status.problem) == ("done", "")
    assert (status.task, status.done, status.total) == ("check vi", 3, 9), "the last is not lost"
    assert status.updated >= status.started


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (DataError("a.json, line 3: bad", "mend it"), "failed", "a.json, line 3: bad"),
        (ValueError("ours"), "failed", "ValueError('ours')"),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)
def test_a_run_that_breaks_says_how(
    tmp_path: Path, error: BaseException, state: str, problem: str
) -> None:
    with pytest.raises(type(error)), run(tmp_path, "check", RECIPE, COMMAND) as made:
        raise error
    assert (made.status.state, made.status.problem) == (state, problem)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_whose_process_is_gone_is_shown_as_killed(tmp_path: Path, kill: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    made = Run(Path(process.stdout.readline().strip()))
    assert made.status.state == "running"
    assert made.status.pid == process.pid
    os.kill(process.pid, kill)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert made.status.state == "killed"
    assert [found.status.state for found in every_run(tmp_path)] == ["killed"]


def test_a_number_that_was_given_again_does_not_bring_a_run_back(tmp_path: Path) -> None:
    with run(tmp_path, "check", RECIPE, COMMAND) as made:
        text = (made.path / "status.json").read_text()
    # as a kill leaves it, and another process (this one) got the number
    (made.path / "status.json").write_text(text)
    assert made.status.pid == os.getpid()
    assert made.status.state == "killed"


def test_runs_of_one_second_get_folders_of_their_own_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bactrian.runs.time.strftime", lambda _: "20260102-030405")
    paths = []
    for _ in range(3):
        with run(tmp_path, "check", RECIPE, COMMAND) as made:
            paths.append(made.path)
    assert len(set(paths)) == 3
    assert [found.path for found in every_run(tmp_path)] == paths


def test_a_folder_without_runs_has_none(tmp_path: Path) -> None:
    (tmp_path / "something").mkdir()
    assert list(every_run(tmp_path)) == []
    assert list(every_run(tmp_path / "absent")) == []


def test_status_is_written_once_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def counted(path: Path, text: str) -> Path:
        written.append(path.name)
        return write_text(path, text)

    monkeypatch.setattr(runs, "write_text", counted)
    with run(tmp_path, "check", RECIPE, COMMAND):
        for done in range(1000):
            emit("progress", task="check", done=done, total=1000)
    assert written.count("status.json") <= 4


def test_status_is_never_half_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STATUS_SECONDS", 0.0)
    problems: list[BaseException] = []
    seen: set[int] = set()
    over = threading.Event()

    def look(made: Run) -> None:
        try:
            while not over.is_set():
                status = made.status
                assert status.state == "running"
                seen.add(status.done)
        except BaseException as error:
            problems.append(error)

    with run(tmp_path, "check", RECIPE, COMMAND) as made:
        threads = [threading.Thread(target=look, args=(made,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 1.0
        done = 0
        while time.monotonic() < until:
            done += 1
            emit("progress", task="x" * (done % 50), done=done, total=None)
        over.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert len(seen) > 5
