"""Puts what was trained into the folder that the user named, beside what else is there.

The trained folder stays where the engine keeps it, so that finished work is recognised; the files
are linked, or copied where the disk cannot link. Knows nothing of what is in them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.files import atomic, write_text

LAID = "laid.json"
"""In the work folder: names of the files that were put into the folder above it."""
OWNED = ("adapter_config.json", "model.safetensors", "model.safetensors.index.json")
"""Files by which a folder is known to hold a model or an adapter."""


def must_be_free(output: Path, work: Path) -> None:
    """Raise ConfigError where the folder holds a model that was not put there from here."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output_dir {output} is a file", "name a folder")
    laid = _laid(work)
    for name in OWNED:
        if (output / name).exists() and name not in laid:
            raise ConfigError(
                f"--output_dir {output} holds a model that was not made there by this command",
                "name another folder, or move that one away",
            )


def lay(made: Path, output: Path, work: Path) -> tuple[str, ...]:
    """Put every file of the folder ``made`` into ``output``; return their names.

    Files that were put there before and are not made any more go away.
    """
    names = sorted(path.name for path in made.iterdir() if path.is_file())
    for name in _laid(work) - set(names):
        (output / name).unlink(missing_ok=True)
    write_text(work / LAID, json.dumps(sorted(_laid(work) | set(names))) + "\n")
    for name in names:
        _put(made / name, output / name)
    write_text(work / LAID, json.dumps(names) + "\n")
    return tuple(names)


def _laid(work: Path) -> set[str]:
    try:
        return set(json.loads((work / LAID).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return set()


def _put(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    with atomic(target) as unfinished:
        try:
            os.link(source, unfinished)
        except OSError:
            shutil.copyfile(source, unfinished)
