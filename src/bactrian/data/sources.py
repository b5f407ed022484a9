"""Reads English instructions in Alpaca's shape. Knows nothing of languages, providers or stages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bactrian.data.json_records import kind_of, must_be_there, records
from bactrian.errors import DataError
from bactrian.schema import Example, Provenance

ROW = 'each row looks like {"instruction": "…", "input": "", "output": "…"}'
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read(path: Path, collection: str, licence: str = "") -> Iterator[Example]:
    """Yield the rows of one JSON or JSONL file, plain or gzipped, as English examples, in order.

    A row without an ``id`` becomes ``<collection>-<row number>``, counted from 0. Raises DataError
    naming the file, the line, what was expected there and what was found.
    """
    provenance = Provenance(source=collection, licence=licence)
    for number, (line, row) in enumerate(records(path)):
        place = f"{path}, line {line}"
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object, found {kind_of(row)}", ROW)
        yield Example(
            id=_id(row, place) or f"{collection}-{number}",
            language="en",
            instruction=_text(row, "instruction", place, needed=True),
            input=_text(row, "input", place),
            output=_text(row, "output", place),
            provenance=provenance,
        )


def digest(path: Path) -> str:
    """Return the blake2b-128 of a file's bytes."""
    must_be_there(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _id(row: dict[str, Any], place: str) -> str:
    value = row.get("id")
    return str(value) if type(value) is int else _text(row, "id", place)


def _text(row: dict[str, Any], name: str, place: str, *, needed: bool = False) -> str:
    value = row.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        found = kind_of(value) if name in row else "nothing"
        raise DataError(f'{place}: expected a text under "{name}", found {found}', ROW)
    if half := LONE_SURROGATE.search(value):
        raise DataError(
            f'{place}: expected whole characters under "{name}", found half of one '
            f"(\\u{ord(half[0]):04x})",
            "an emoji or a rare letter was cut in two there: mend that row",
        )
    return value
