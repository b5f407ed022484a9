"""Reads English instructions in Alpaca's shape from JSON and JSONL, plain or gzipped.

Knows nothing of languages, providers or stages.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bactrian.errors import DataError
from bactrian.schema import Example, Provenance

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def read(path: Path, collection: str, licence: str = "") -> Iterator[Example]:
    """Yield the rows of one file as English examples, in order.

    A row without an ``id`` becomes ``<collection>-<row number>``. Raises DataError naming file,
    line (or row) and what was expected.
    """
    provenance = Provenance(source=collection, licence=licence)
    for number, (place, record) in enumerate(_records(path)):
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, {place}: expected an object, found {type(record).__name__}",
                'each row looks like {"instruction": "…", "input": "", "output": "…"}',
            )
        yield Example(
            id=str(record.get("id") or f"{collection}-{number}"),
            language="en",
            instruction=_text(record, "instruction", path, place),
            input=_text(record, "input", path, place, default=""),
            output=_text(record, "output", path, place, default=""),
            provenance=provenance,
        )


def digest(path: Path) -> str:
    """Return the blake2b-128 of a file's bytes."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", "name the files under [sources] in the recipe")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (place for a message, record)."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", "name the files under [sources] in the recipe")
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: unknown kind of file", f"known are: {', '.join(SUFFIXES)}")
    if ".jsonl" in path.suffixes:
        yield from _lines(path)
    else:
        yield from _array(path)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        if line.strip():
            yield f"line {number}", _parsed(line, path, number - 1)


def _array(path: Path) -> Iterator[tuple[str, Any]]:
    rows = _parsed(_text_of(path), path, 0)
    if not isinstance(rows, list):
        raise DataError(
            f"{path}, line 1: expected a JSON array of rows, found {type(rows).__name__}",
            "put the rows between [ and ], or use .jsonl with one row a line",
        )
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", row


def _text_of(path: Path) -> str:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig") as file:
                return file.read()
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}",
            "convert it: iconv -f <its encoding> -t UTF-8",
        ) from None
    except (gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}", "fetch it again") from None


def _parsed(text: str, path: Path, lines_before: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = lines_before + error.lineno
        seen = text[error.pos : error.pos + 20].splitlines()[:1]
        found = f", found {seen[0]!r}" if seen and seen[0] else ", found the end"
        raise DataError(
            f"{path}, line {line}, column {error.colno}: {_lower(error.msg)}{found}",
            "mend the file there, or leave it out",
        ) from None


def _lower(message: str) -> str:
    return f"expected{message.removeprefix('Expecting')}" if "Expecting" in message else message


def _text(
    record: dict[str, Any], name: str, path: Path, place: str, default: str | None = None
) -> str:
    value = record.get(name, default)
    if not isinstance(value, str):
        found = "nothing" if value is None else type(value).__name__
        raise DataError(
            f"{path}, {place}: {name} should be a text, found {found}",
            'each row looks like {"instruction": "…", "input": "", "output": "…"}',
        )
    return value
