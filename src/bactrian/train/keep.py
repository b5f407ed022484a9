"""What a training keeps to go on from: the weights that learn, exactly, under their names.

PEFT's own folders would come back with one adapter learning and in other names where there are
several. A checkpoint is whole when its mark is there and every file is what the mark says. Knows
nothing of optimizers; those the Trainer keeps.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError
from bactrian.train.sharded import gathered, spread_like

LEARNING = "learning.safetensors"
BEST = "best.safetensors"
"""The weights at the lowest loss on held-out rows so far; each checkpoint has those of its time."""
WHOLE = "whole"
"""Written into a checkpoint last: a folder without it was cut off and is not used.

It holds what the training has to know beside the Trainer's files, and the size and CRC-32 of every
other file.
"""
BLOCK = 1 << 22


def write_learning(model: Any, path: Path, *, write: bool = True) -> None:
    """Write every parameter that learns; what was there is replaced when all is on disk.

    All processes call this where weights are spread over them; one of them has to ``write``.
    """
    from safetensors.torch import save_file

    kept = gathered(dict(_learning(model)), keep=write)
    if not write:
        return
    unfinished = path.with_suffix(".unfinished")
    save_file(kept, unfinished)
    unfinished.replace(path)


def read_learning(model: Any, path: Path) -> None:
    """Put the parameters back in place; raises AdapterError where they are not the model's."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            names = set(file.keys())
            for name, weights in _learning(model):
                names.remove(name)
                full = file.get_tensor(name)
                if full.shape != weights.shape:
                    raise KeyError(f"{name} {tuple(full.shape)}, not {tuple(weights.shape)}")
                weights.copy_(spread_like(weights, full))
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise AdapterError(
            f"{path} cannot be gone on from: {error}",
            f"remove {path.parent} to go on from the checkpoint before it",
        ) from error
    if names:
        raise AdapterError(
            f"{path} holds {min(names)}, which does not learn here",
            f"remove {path.parent} to go on from the checkpoint before it",
        )


def mark(folder: Path, told: dict[str, Any]) -> None:
    """Say that a checkpoint is whole, and what is in it; the last file to be written."""
    files = {
        path.name: [path.stat().st_size, _checksum(path)]
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != WHOLE
    }
    unfinished = folder / f"{WHOLE}.unfinished"
    unfinished.write_text(json.dumps({**told, "files": files}), encoding="utf-8")
    unfinished.replace(folder / WHOLE)


def told_by(folder: Path) -> dict[str, Any]:
    """Return what ``mark`` was told."""
    told: dict[str, Any] = json.loads((folder / WHOLE).read_text(encoding="utf-8"))
    return told


def damage(folder: Path) -> str:
    """Return what is wrong with a checkpoint that has its mark; empty where nothing is."""
    try:
        files = told_by(folder)["files"]
        for name, (size, checksum) in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size} of {size} bytes"
            if _checksum(path) != checksum:
                return f"{name} has other bytes than were written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"it cannot be read: {error}"
    return ""


def keep_beside(path: Path, folder: Path) -> None:
    """Put a file into a folder without writing it again where the file system can."""
    place = folder / path.name
    place.unlink(missing_ok=True)
    try:
        os.link(path, place)
    except OSError:  # a file system without links
        shutil.copyfile(path, place)


def put_back(name: str, checkpoint: Path | None, folder: Path) -> None:
    """Make the file in ``folder`` that of the checkpoint; it is removed where that has none."""
    with suppress(FileNotFoundError):
        (folder / name).unlink()
    if checkpoint is not None and (checkpoint / name).is_file():
        keep_beside(checkpoint / name, folder)


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found = zlib.crc32(block, found)
    return found


def _learning(model: Any) -> Iterator[tuple[str, Any]]:
    return ((name, weights) for name, weights in model.named_parameters() if weights.requires_grad)
