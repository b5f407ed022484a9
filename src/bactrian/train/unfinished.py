"""Trainings that were not finished: what each was told, and how that differs from now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TOLD = "told.json"
CHECKPOINTS = "checkpoint-*"
"""Folders to go on from; a training without one was not begun."""


def note(folder: Path, told: Mapping[str, Any]) -> None:
    """Write down what the training in ``folder`` was told, before its first step."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / TOLD).write_text(text + "\n", encoding="utf-8")


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """Leave no folder behind where the block fails before there is anything to go on from."""
    try:
        yield
    except BaseException:
        if not any(folder.glob(CHECKPOINTS)):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # trainings that were told otherwise stay
        raise


def others(folder: Path, told: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each unfinished training beside ``folder``, with what it was told."""
    for path in sorted(folder.parent.glob("*")):
        if path == folder or not any(path.glob(CHECKPOINTS)):
            continue
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        yield (
            f"an unfinished training was told otherwise ({_differences(path, told)}); it is not "
            f"gone on from, and kept ({size / 1e6:.0f} MB in {path}) until this adapter is done"
        )


def _differences(path: Path, told: Mapping[str, Any]) -> str:
    try:
        before = json.loads((path / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it does not say what"
    one, other = dict(_flat(before)), dict(_flat(json.loads(json.dumps(told))))
    changed = [
        f"{key} {_short(one.get(key))}, now {_short(other.get(key))}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]
    return "; ".join(changed) or "nothing that is written down"


def _flat(told: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _short(value: Any) -> str:
    text = "unset" if value in (None, "", []) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
