"""The stream of events: order, whole lines whatever happens, and not too many of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.errors import RunError
from bactrian.events import Event, JsonlReader, emit, read, reading, track

FULL = Path("/dev/full")
WRITE = """
import sys
from pathlib import Path
from bactrian.events import JsonlReader, emit, reading
with reading(JsonlReader(Path(sys.argv[1]))):
    for number in range(10**9):
        emit("note", text="ខ្មែរ " * 50, number=number)
        print(number, flush=True)
"""


class Seen:
    """Remembers what it saw."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    @property
    def numbers(self) -> list[Any]:
        return [event.facts["number"] for event in self.events]


class Clock:
    """A clock that is moved by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bactrian.events.time.monotonic", clock)
    return clock


def test_every_reader_sees_every_event_in_order() -> None:
    outer, inner = Seen(), Seen()
    emit("note", number=-1)  # nobody listens, nothing happens
    with reading(outer):
        emit("note", number=0)
        with reading(inner):
            emit("metric", number=1)
            emit("warning", number=2)
        emit("made", number=3)
    emit("note", number=4)
    assert outer.numbers == [0, 1, 2, 3]
    assert inner.numbers == [1, 2]
    assert [event.kind for event in outer.events] == ["note", "metric", "warning", "made"]


def test_readers_leave_when_the_block_fails() -> None:
    seen = Seen()
    with pytest.raises(ValueError, match="inside"), reading(seen):
        raise ValueError("inside")
    emit("note", number=1)
    assert seen.events == []


def test_a_file_holds_what_was_emitted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    kept = JsonlReader(path)
    with reading(kept):
        emit("made", path=tmp_path / "x.parquet", rows=3)
        emit("note", text="line\nbreak \u2028 עברית")
    kept.close()
    first, second = read(path)
    assert first == {
        "time": first["time"],
        "kind": "made",
        "path": str(tmp_path / "x.parquet"),
        "rows": 3,
    }
    assert second["text"] == "line\nbreak \u2028 עברית"
    assert path.read_bytes().count(b"\n") == 2


def test_kill_nine_leaves_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = 0
    for line in process.stdout:
        said = int(line)
        if said >= 500:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    data = path.read_bytes()
    assert data.endswith(b"\n")
    numbers = [orjson.loads(line)["number"] for line in data.splitlines()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > said, "an event that was emitted is not in the file"


def test_a_cut_last_line_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"note","number":1}\n{"kind":"note","number":2}\n{"kind":"no')
    assert [event["number"] for event in read(path)] == [1, 2]


def test_a_write_that_took_half_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += data[:7]
            return min(7, len(data))

    slow = Slow()
    kept = JsonlReader(tmp_path / "events.jsonl")
    kept.close()
    monkeypatch.setattr(kept, "_file", slow)
    kept.see(Event("note", {"text": "longer than seven bytes"}))
    assert slow.data.endswith(b'"text":"longer than seven bytes"}\n')


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_said() -> None:
    kept = JsonlReader(FULL)
    with pytest.raises(RunError, match="no space left on the disk while writing /dev/full"):
        kept.see(Event("note", {"text": "x"}))
    kept.close()


def test_track_speaks_five_times_a_second_and_at_the_end(clock: Clock) -> None:
    seen = Seen()
    with reading(seen):
        for _ in track(range(1000), "rows", 1000):
            clock.now += 0.01
    assert len(seen.events) <= 10 * 5 + 2
    assert len(seen.events) >= 10 * 4
    done = [event.facts["done"] for event in seen.events]
    assert done == sorted(done)
    assert seen.events[-1].facts == {"task": "rows", "done": 1000, "total": 1000}
    assert {event.kind for event in seen.events} == {"progress"}


def test_track_yields_every_row_and_ends_even_without_any() -> None:
    seen = Seen()
    with reading(seen):
        assert list(track("abc", "letters")) == ["a", "b", "c"]
        assert list(track((), "nothing", 5)) == []
    assert seen.events[-1].facts == {"task": "nothing", "done": 0, "total": 0}
    assert seen.events[-2].facts == {"task": "letters", "done": 3, "total": 3}
