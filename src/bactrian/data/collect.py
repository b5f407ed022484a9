"""First stage: the English side, read from the recipe's files into one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bactrian import table
from bactrian.data.sources import digest, read
from bactrian.errors import ConfigError, DataError
from bactrian.events import emit, track
from bactrian.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Collected:
    """What the stage made."""

    path: Path
    rows: int


def collect(workspace: Workspace) -> Collected:
    """Write ``stages/sources/en.parquet``; the files of ``[sources]``, the first ``limit`` rows."""
    limit = workspace.recipe.limit
    told = workspace.recipe.sources
    if not told.files:
        raise ConfigError("the recipe names no sources", 'set [sources] files = ["alpaca.json"]')
    files = [workspace.given(file) for file in told.files]
    path = workspace.stage("sources", "en")
    made_from = table.hash_of(
        "sources", 1, [digest(file) for file in files], told.name, told.licence, limit
    )
    found = table.info(path)
    if found is None or found.made_from != made_from:
        rows = islice(_rows(files, told.name, told.licence), limit or None)
        found = table.write(path, track(rows, "sources"), made_from)
        emit("made", path=str(path), rows=found.rows)
    if not found.rows:
        raise DataError(f"{', '.join(told.files)} hold no rows", "name files with instructions")
    return Collected(path, found.rows)


def _rows(files: list[Path], collection: str, licence: str) -> Iterator[table.Row]:
    seen: set[str] = set()
    for file in files:
        for example in read(file, collection, licence):
            if example.id in seen:
                raise DataError(
                    f"{file}: the id {example.id} occurs twice",
                    'give every row its own "id"; rows without one are numbered in each file',
                )
            seen.add(example.id)
            yield table.Row(example)
