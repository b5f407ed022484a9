"""The directory a run leaves: what it was told, where it stands, what happened, on what machine.

``status.json`` is replaced by rename, so that a reader never sees half of it; a run whose process
is gone without a last word is shown as killed. Knows nothing of what the verbs do.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from bactrian import __version__
from bactrian.errors import BactrianError
from bactrian.events import Event, JsonlReader, reading
from bactrian.files import is_locked, locked, write_text
from bactrian.recipe import Recipe, dumps

STATUS_SECONDS = 1.0
REPORTED = ("torch", "transformers", "peft", "datasets", "pyarrow", "accelerate", "gradio")


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands."""

    state: str
    """running, done, failed, interrupted; killed when its process is gone without a word."""
    verb: str
    name: str
    pid: int
    started: float
    updated: float
    task: str = ""
    done: int = 0
    total: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def status(self) -> Status:
        """Read where the run stands now."""
        told = Status(**orjson.loads((self.path / "status.json").read_bytes()))
        # the lock, not the process id: ids are given again, and are the same in every container
        if told.state == "running" and not is_locked(self.path):
            return replace(told, state="killed")
        return told

    @property
    def events(self) -> Path:
        """The stream of what happened."""
        return self.path / "events.jsonl"


@contextmanager
def run(folder: Path, verb: str, recipe: Recipe, command: list[str]) -> Iterator[Run]:
    """Make ``folder/<date>-<verb>-<name>``, hold its lock, and keep its files while inside.

    Raises RunError where another process holds the very run, or the disk is full.
    """
    path = _new_folder(folder, f"{verb}-{recipe.name}")
    with locked(path):
        write_text(path / "recipe.toml", dumps(recipe))
        write_text(path / "command.txt", shlex.join(command) + "\n")
        write_text(path / "environment.json", _json(environment()))
        now = time.time()
        keeper = _StatusKeeper(path, Status("running", verb, recipe.name, os.getpid(), now, now))
        events = JsonlReader(path / "events.jsonl")
        try:
            with reading(events, keeper):
                yield Run(path)
            keeper.end("done")
        except KeyboardInterrupt:
            keeper.end("interrupted")
            raise
        except BaseException as error:
            problem = error.problem if isinstance(error, BactrianError) else repr(error)
            keeper.end("failed", problem)
            raise
        finally:
            events.close()


def every_run(folder: Path) -> Iterator[Run]:
    """Yield the runs of a folder, oldest first."""
    found = [Run(path.parent) for path in folder.glob("*/status.json")]
    yield from sorted(found, key=lambda run: run.status.started)


def environment() -> dict[str, Any]:
    """Return what a number may depend on: versions, system, cores."""
    versions = {"bactrian": __version__, "python": platform.python_version()}
    for package in REPORTED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "executable": sys.executable,
    }


class _StatusKeeper:
    """Keeps ``status.json`` at most a second behind the events."""

    def __init__(self, path: Path, status: Status) -> None:
        self.path = path / "status.json"
        self.status = status
        self._write()

    def see(self, event: Event) -> None:
        if event.kind != "progress":
            return
        facts = event.facts
        task, done, total = str(facts["task"]), int(facts["done"]), facts["total"]
        self.status = replace(self.status, task=task, done=done, total=total)
        if time.time() - self.status.updated >= STATUS_SECONDS:
            self._write()

    def end(self, state: str, problem: str = "") -> None:
        self.status = replace(self.status, state=state, problem=problem)
        self._write()

    def _write(self) -> None:
        self.status = replace(self.status, updated=time.time())
        write_text(self.path, _json(asdict(self.status)))


def _new_folder(folder: Path, name: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        path = folder / (f"{stamp}-{name}" if attempt == 0 else f"{stamp}.{attempt}-{name}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise AssertionError(f"a thousand runs in one second in {folder}")


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
