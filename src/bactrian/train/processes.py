"""The processes of one training: who goes first, who is waited for, and what is said of one lost.

Knows nothing of models; torch is asked only where there are several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bactrian.errors import RunError
from bactrian.processes import Processes, join, processes

__all__ = [
    "GRACE",
    "Processes",
    "after_main",
    "all_or_none",
    "as_main_says",
    "join",
    "main_first",
    "processes",
    "wait",
]

Told = TypeVar("Told")

GRACE = 10.0
"""Seconds for which a process that is not the first is silent about what ended it."""
LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Connection refused",
    "remote process exited",
    "NCCL communicator was aborted",
    "Timed out waiting",
)
"""What gloo and NCCL say when a process on the other side has ended."""


@contextmanager
def main_first(found: Processes) -> Iterator[None]:
    """Let the first process do the block before the others, which then find it done."""
    if found.world == 1:
        yield
        return
    from torch import distributed

    if not found.main:
        distributed.barrier()
    try:
        yield
    finally:
        if found.main:
            distributed.barrier()


def wait(found: Processes) -> None:
    """Wait until all processes are here."""
    if found.world > 1:
        from torch import distributed

        distributed.barrier()


def as_main_says(found: Processes, say: Callable[[], Told]) -> Told:
    """Return what the first process says, in all of them; the others are not asked."""
    if found.world == 1:
        return say()
    from torch import distributed

    said = [say() if found.main else None]
    distributed.broadcast_object_list(said, src=0)
    answer: Told = said[0]  # type: ignore[assignment]
    return answer


@contextmanager
def all_or_none(found: Processes) -> Iterator[None]:
    """Raise RunError where the block ends because another process has ended."""
    try:
        yield
    except RuntimeError as error:
        if found.world == 1 or not any(sign in str(error) for sign in LOST):
            raise
        raise RunError(
            f"process {found.rank} lost another process of this training",
            "what that one said is above; the same command goes on from the last checkpoint",
        ) from error


@contextmanager
def after_main() -> Iterator[None]:
    """Leave the first word on what ends the block to the first process.

    Mostly the same has ended that one, and torchrun ends this one before it says it again.
    """
    try:
        yield
    except Exception:
        time.sleep(GRACE)
        raise
