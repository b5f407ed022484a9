"""Files that are whole or absent, full disks, and locks that die with their process."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bactrian.errors import RunError
from bactrian.files import atomic, full_disk, is_locked, locked, write_text

FULL = Path("/dev/full")
HOLD = """
import sys
from pathlib import Path
from bactrian.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_text_is_written_whole_in_folders_that_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "page.md"
    assert write_text(path, "ខ្មែរ עברית 中文") == path
    assert path.read_bytes().decode("utf-8") == "ខ្មែរ עברית 中文"
    assert names(path.parent) == ["page.md"]


def test_an_exception_leaves_what_stood_there_and_nothing_half_written(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(ValueError, match="in the middle"), atomic(path) as unfinished:
        unfinished.write_text("half")
        assert path.read_text() == "before"
        raise ValueError("in the middle")
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_touches_nothing(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_text(tmp_path / "a.txt", "before")

    def full(_: int) -> None:
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"no space left .*a\.txt") as told:
        write_text(path, "after")
    assert "free some space" in told.value.hint
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_the_kernel_s_own_full_disk_is_said(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(RunError, match="no space left"), atomic(path) as unfinished:
        unfinished.symlink_to(FULL)
        unfinished.write_text("after")
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told, atomic(tmp_path / "a.txt"):
        pass  # nothing was written
    assert told.value.__cause__ is None
    denied = PermissionError(errno.EACCES, "no")
    with pytest.raises(PermissionError):
        full_disk(tmp_path, denied)


def test_what_a_killed_process_left_of_a_file_is_swept_away(tmp_path: Path) -> None:
    host = platform.node()
    dead = tmp_path / f".a.txt.{host}.{dead_process()}.unfinished"
    alive = tmp_path / f".a.txt.{host}.{os.getppid()}.unfinished"
    elsewhere = tmp_path / ".a.txt.another-machine.1.unfinished"
    other = tmp_path / f".b.txt.{host}.{dead_process()}.unfinished"
    for left in (dead, alive, elsewhere, other):
        left.write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == sorted([alive.name, elsewhere.name, other.name, "a.txt"])


def test_a_second_process_is_refused_by_the_first_s_number(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        assert is_locked(tmp_path)
        with pytest.raises(RunError) as told, locked(tmp_path):
            pytest.fail("two processes hold the folder")
        assert told.value.problem == f"{tmp_path} is in use by process {first.pid}"
        assert told.value.hint.endswith(f"kill {first.pid}")


def test_the_lock_is_gone_when_its_process_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert not is_locked(tmp_path)
        with locked(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_folder_is_free_before_and_after(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert not is_locked(folder)
    for _ in range(2):
        with locked(folder):
            assert is_locked(folder)
        assert not is_locked(folder)


def test_a_holder_that_has_not_said_its_number_yet_is_not_given_one(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(RunError) as told, locked(tmp_path):
            pytest.fail("two hold the folder")
    assert told.value.problem == f"{tmp_path} is in use by another process"
    assert told.value.hint == "wait until it ends"
