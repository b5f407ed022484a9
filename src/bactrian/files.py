"""Files that are whole or absent, and folders that one process at a time works in."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from bactrian.errors import RunError

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` when the block ends well, else it is gone.

    Raises RunError when the disk is full; what stood at ``path`` before is untouched then. What a
    killed process left unfinished of the same file is swept away.
    """
    host = platform.node()  # a process id says nothing about a process of another machine
    unfinished = path.with_name(f".{path.name}.{host}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{escape(path.name)}.{escape(host)}.*.unfinished"):
            if not _alive(left.name.split(".")[-2]):
                left.unlink(missing_ok=True)
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise full_disk(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def full_disk(path: Path, error: OSError) -> RunError:
    """Return what to tell the user about a full disk; raises ``error`` itself if it is another."""
    if error.errno not in OUT_OF_SPACE:
        raise error
    return RunError(
        f"no space left on the disk while writing {path}",
        "free some space and run the same command again; finished parts are kept",
    )


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8, whole or not at all, and return ``path``."""
    with atomic(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


@contextmanager
def locked(folder: Path, part: str = "") -> Iterator[None]:
    """Hold the folder, or one named part of it; raises RunError naming the process that has it.

    The lock is the kernel's (flock): it is gone when the process is, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{part}lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip()
            who = f"process {owner}" if owner else "another process"
            raise RunError(
                f"{folder / part} is in use by {who}",
                f"wait until it ends{f', or stop it: kill {owner}' if owner else ''}",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder now."""
    try:
        lock = (folder / ".lock").open("rb")
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, and there
    return True
