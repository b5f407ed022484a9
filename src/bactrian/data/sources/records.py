"""Reads the rows of one file by its kind: JSON, JSONL, CSV, TSV, Parquet, plain, .gz or .zst.

Knows nothing of what a row should hold. No reader's memory grows with the file.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from bactrian.data.sources import csv_rows, parquet_rows
from bactrian.data.sources.json_array import array, holds_objects
from bactrian.data.sources.lines import json_lines
from bactrian.data.sources.record import Record
from bactrian.errors import DataError

Reader = Callable[[IO[bytes], Path], Iterator[Record]]

READERS: dict[str, Reader] = {
    ".json": array,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": csv_rows.rows,
    ".tsv": csv_rows.tab_rows,
    ".parquet": parquet_rows.rows,
}
PACKED = (".gz", ".zst")
KNOWN = f"{', '.join(READERS)}, each plain or with {' or '.join(PACKED)}"


def records(path: Path, *, verify: bool = True) -> Iterator[Record]:
    """Yield the rows of one file in order.

    Raises DataError naming the file, and where it can the line, the column, what was expected
    there and what was found. A JSON array is read twice where ``verify`` is set, so that a reader
    that stops early is told of a broken end, too; other kinds break where they are broken.
    """
    must_be_there(path)
    reader = _reader(path)
    if reader is None:
        raise DataError(f"{path}: unknown kind of file", f"known are: {KNOWN}")
    if reader is array:
        with opened(path) as file:
            if holds_objects(file, path):
                reader = json_lines
    if reader is array and verify:
        with opened(path) as file:
            for _ in array(file, path):
                pass
    with opened(path) as file:
        yield from reader(file, path)


def is_known(path: Path) -> bool:
    """Return whether the name of a file says a kind that can be read."""
    return _reader(path) is not None


def counts_rows(path: Path) -> bool:
    """Return whether the numbers of the records are those of rows, not of lines."""
    return _reader(path) is parquet_rows.rows


def digest(path: Path) -> str:
    """Return the blake2b-128 of a file's bytes."""
    must_be_there(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def must_be_there(path: Path) -> None:
    """Raise DataError where there is no such file."""
    if not path.is_file():
        raise DataError(
            f"{path} {'is not a file' if path.exists() else 'does not exist'}",
            "name the files of a collection in the recipe, relative to the recipe's folder",
        )


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked on the way; raises DataError where the packing is damaged."""
    if path.suffix == ".gz":
        with _gzip(path) as file:
            yield file
    elif path.suffix == ".zst":
        with _zstd(path) as file:
            yield file
    else:
        with path.open("rb") as file:
            yield file


@contextmanager
def _gzip(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path) as file:
            yield cast("IO[bytes]", file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}", "fetch it again") from None


@contextmanager
def _zstd(path: Path) -> Iterator[IO[bytes]]:
    import io

    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as packed, pa.CompressedInputStream(packed, "zstd") as file:
            yield cast("IO[bytes]", io.BufferedReader(file))
    except OSError as error:
        raise DataError(f"{path} is not a whole zstd file: {error}", "fetch it again") from None


def _reader(path: Path) -> Reader | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return READERS.get(suffixes[-1]) if suffixes else None
