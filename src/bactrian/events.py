"""One stream of what happens: progress, metrics, decisions, warnings, files made.

Stages emit; the terminal, ``events.jsonl`` and the pages read. Knows nothing of any of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import orjson

from bactrian.files import full_disk

T = TypeVar("T")
Kind = Literal["state", "progress", "metric", "decision", "warning", "made", "note"]
PROGRESS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; ``facts`` are plain JSON values."""

    kind: Kind
    facts: dict[str, Any]
    time: float = field(default_factory=time.time)
    """Unix time."""


class Reader(Protocol):
    """Sees every event in order."""

    def see(self, event: Event) -> None:
        """Take note of one event."""


_readers: ContextVar[tuple[Reader, ...]] = ContextVar("readers", default=())


@contextmanager
def reading(*readers: Reader) -> Iterator[None]:
    """Let ``readers`` see what is emitted inside the block, after those already there."""
    token = _readers.set((*_readers.get(), *readers))
    try:
        yield
    finally:
        _readers.reset(token)


def emit(kind: Kind, **facts: Any) -> None:
    """Tell every reader what happened."""
    readers = _readers.get()
    if readers:
        event = Event(kind, facts)
        for reader in readers:
            reader.see(event)


def track(rows: Iterable[T], task: str, total: int | None = None) -> Iterator[T]:
    """Yield ``rows`` and emit progress on the way, at most five times a second, and at the end."""
    done = 0
    told = 0.0
    for row in rows:
        yield row
        done += 1
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            emit("progress", task=task, done=done, total=total)
    emit("progress", task=task, done=done, total=done)


class JsonlReader:
    """Appends every event to a file, one JSON object a line, complete lines only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)

    def see(self, event: Event) -> None:
        """Append one line; raises RunError when the disk is full."""
        line = {"time": round(event.time, 3), "kind": event.kind, **event.facts}
        data = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE, default=str)
        try:
            # one write call, but for a disk that fills up: a kill leaves no half line behind
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise full_disk(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of an ``events.jsonl``; a cut last line (power loss) ends it."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                return
