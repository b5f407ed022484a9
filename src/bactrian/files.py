"""Files that are whole or absent, and folders that one process at a time works in."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bactrian.errors import RunError

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` when the block ends well, else it is gone.

    Raises RunError when the disk is full; what stood at ``path`` before is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise full_disk(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def full_disk(path: Path, error: OSError) -> OSError | RunError:
    """Return the error for the user when the disk is full, else ``error`` as it is."""
    if error.errno not in OUT_OF_SPACE:
        return error
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
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; raises RunError naming the process that has it.

    The lock is the kernel's (flock): it is gone when the process is, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise RunError(
                f"{folder} is in use by process {owner}",
                f"wait until it ends, or stop it: kill {owner}",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
