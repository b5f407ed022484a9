"""Tells of a full disk in one way, whichever library met it while it wrote weights."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bactrian.files import full_disk

SIGNS = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed writing",
    "iostream error",
    "unexpected pos",
)
"""What safetensors (not an OSError there) and torch.save say when they cannot write."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise RunError where the block ends because the disk of ``path`` is full."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise full_disk(path, error) from error
    except (SafetensorError, RuntimeError) as error:
        if any(sign in str(error) for sign in SIGNS):
            raise full_disk(path, OSError(errno.ENOSPC, str(error))) from error
        raise
