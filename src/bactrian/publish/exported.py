"""What was exported, from what and how well it was proved: ``bactrian-export.json``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bactrian.errors import ConfigError, RunError
from bactrian.models.disk import writing
from bactrian.publish.source import Source

NAME = "bactrian-export.json"
FORMAT = 1
SPARE = 64 << 20
"""Bytes that are left on a disk beside what is written."""


@dataclass(frozen=True, slots=True)
class Part:
    """An adapter that went into an export."""

    name: str
    share: float
    languages: tuple[str, ...]
    made_from: str
    """As ``bactrian.json`` says; empty for an adapter made elsewhere."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder or file that others open."""

    kind: str
    """merged, state-dict, gguf or gguf-adapter."""
    base: str
    base_revision: str
    base_fingerprint: str
    parts: tuple[Part, ...]
    method: str
    """How several adapters were made one: alone, linear, svd, ties, dare."""
    dtype: str
    prompt: str
    command: str
    """What makes it again."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What was compared with base and adapter, and how far it lay from them."""
    template: Mapping[str, str] | None = None
    format: int = FORMAT


def parts_of(source: Source) -> tuple[Part, ...]:
    """Return what the record keeps of the adapters."""
    return tuple(
        Part(
            one.name,
            one.share,
            one.facts.languages if one.facts else (),
            one.facts.made_from if one.facts else "",
        )
        for one in source.adapters
    )


def write(record: Exported, path: Path) -> None:
    """Write the record as JSON."""
    told = orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    path.write_bytes(told)


def beside(place: Path) -> Path:
    """Return where the record of a folder, or of a file, lies."""
    return place / NAME if place.is_dir() else place.with_name(f"{place.name}.json")


def read(place: Path) -> Exported | None:
    """Return the record of a folder or a file, None where it has none."""
    path = beside(place)
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    parts = tuple(Part(**{**part, "languages": tuple(part["languages"])}) for part in told["parts"])
    return Exported(**{**told, "parts": parts})


def check_room(place: Path, needed: int) -> None:
    """Raise RunError where the disk of ``place`` has no room for so many bytes."""
    nearest = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    if free < needed + SPARE:
        raise RunError(
            f"{place} needs {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB left",
            "free some space, or name a place on another disk: --to PLACE",
        )


@contextmanager
def placed(place: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder to fill; it becomes ``place`` when the block ends well, else it is gone.

    What a killed export left unfinished is swept away. Raises ConfigError where something stands at
    ``place`` already, RunError where the disk is full.
    """
    if place.exists() and not overwrite:
        raise ConfigError(f"{place} exists already", "name another --to, or add --overwrite")
    unfinished = place.with_name(f".{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with writing(place):
            unfinished.mkdir(parents=True)
            yield unfinished
            if place.exists():
                shutil.rmtree(place)
            unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
