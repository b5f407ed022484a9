"""Reads the records of a benchmark from a file, or from the Hub; errors name file and line.

Knows forms of files (JSON lines, a JSON list, TSV, CSV; as they are, gzip or tar.gz), no benchmark.
"""

from __future__ import annotations

import csv
import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson

from bactrian.errors import ConfigError, DataError

PACKED = ("", ".gz", ".tar.gz")
KINDS = (".jsonl", ".json", ".tsv", ".csv")
MEND = "mend the line"
csv.field_size_limit(1 << 24)


@dataclass(frozen=True, slots=True)
class Record:
    """What one line says, and where it stands."""

    where: str
    """``file, line 7``, for errors."""
    values: dict[str, Any]

    def text(self, key: str) -> str:
        """Return the text of a key without white space around it; DataError where none is."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{self.where}: {key} is no text", MEND)
        return value.strip()

    def raw(self, key: str) -> str:
        """Return the text of a key to the last space; DataError where none is."""
        self.text(key)
        return str(self.values[key])

    def whole(self, key: str) -> int:
        """Return the whole number of a key, which TSV writes as text; DataError where none is."""
        value = self.value(key)
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise DataError(f"{self.where}: {key} is {value!r}, no whole number", MEND)
        return value

    def value(self, key: str) -> Any:
        """Return the value of a key; DataError where it is lacking."""
        if key not in self.values:
            there = ", ".join(map(str, self.values)) or "nothing"
            raise DataError(f"{self.where}: {key} is lacking", f"there is {there}")
        return self.values[key]


def find(folder: Path, *names: str) -> Path | None:
    """Return the first of the files that is there, as it is or packed (.gz, .tar.gz)."""
    paths = (folder / (name + packed) for name in names for packed in PACKED)
    return next((path for path in paths if path.is_file()), None)


def read(path: Path, columns: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yield the records of a file, in order and as a stream; its name says of what kind it is.

    ``columns`` name those of a TSV or CSV without a header. Raises DataError for a file that is
    damaged or not UTF-8, and for a line that is no record, with its number.
    """
    kind = next((part for part in reversed(path.suffixes) if part in KINDS), "")
    if not kind:
        raise DataError(f"{path} is of no kind that can be read", f"one of {', '.join(KINDS)}")
    with opened(path) as lines:
        if kind in (".tsv", ".csv"):
            rows = _separated(_texts(path, lines), kind)
            yield from _rows(path, rows, columns)
        else:
            yield from _objects(path, lines)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file as it is or unpacked; raises DataError where it is damaged or cannot be read."""
    try:
        if path.name.endswith(".tar.gz"):
            with tarfile.open(path, "r:gz") as packed:
                member = next((one for one in packed if one.isfile()), None)
                if member is None:
                    raise DataError(f"{path} holds no file", "fetch it again")
                yield cast("IO[bytes]", packed.extractfile(member))
        elif path.suffix == ".gz":
            with gzip.open(path, "rb") as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            with path.open("rb") as plain:
                yield plain
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        said = str(error).strip().rstrip(".")
        raise DataError(f"{path} is cut short or damaged: {said}", "fetch it again") from None
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror}", "see to the file") from None


def _texts(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, without a byte order mark."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {number}: not UTF-8", MEND) from None
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _objects(path: Path, lines: IO[bytes]) -> Iterator[Record]:
    for number, text in _texts(path, lines):
        if number == 1 and text.lstrip().startswith("["):
            yield from _listed(path, text + "".join(more for _, more in _texts(path, lines)))
            return
        yield _record(f"{path}, line {number}", _parsed(f"{path}, line {number}", text))


def _listed(path: Path, text: str) -> Iterator[Record]:
    values = _parsed(str(path), text)
    for number, value in enumerate(values, start=1):
        yield _record(f"{path}, record {number}", value)


def _parsed(where: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        said = error.msg[:1].lower() + error.msg[1:]
        raise DataError(f"{where}: no JSON: {said}", MEND) from None


def _record(where: str, value: Any) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{where}: this is no record", "a record is { ... } with named values")
    return Record(where, value)


def _separated(texts: Iterator[tuple[int, str]], kind: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each row; quotes mean something in CSV only."""
    if kind == ".tsv":
        for number, text in texts:
            yield number, text.rstrip("\r\n").split("\t")
        return
    rows = csv.reader(text for _, text in texts)
    for row in rows:
        yield rows.line_num, row


def _rows(
    path: Path, rows: Iterator[tuple[int, list[str]]], columns: tuple[str, ...]
) -> Iterator[Record]:
    header = list(columns)
    for number, row in rows:
        if not header:
            header = row
            continue
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(row)} columns, not {len(header)}",
                f"a line has {', '.join(header)}",
            )
        yield Record(f"{path}, line {number}", dict(zip(header, row, strict=True)))


# -- the Hub --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset on the Hub."""

    id: str
    config: str = ""
    split: str = "test"
    revision: str = ""


EXPORTED = "refs/convert/parquet"
"""Where the Hub keeps, as Parquet, what a loading script would give."""


def from_hub(place: Hub) -> Iterator[Record]:
    """Yield the records of a dataset on the Hub, fetched once and then read from the disk.

    A dataset whose loading script ``datasets`` refuses is read from the Hub's own export. Raises
    ConfigError for what is not there, or cannot be reached.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        try:
            rows = load_dataset(
                place.id, place.config or None, split=place.split, revision=place.revision or None
            )
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            files = {place.split: f"{place.config or 'default'}/{place.split}/*.parquet"}
            rows = load_dataset(place.id, data_files=files, split=place.split, revision=EXPORTED)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"{place.id} ({place.config or 'default'}, {place.split}) could not be read from the "
            f"Hub: {said[0][:200]}",
            "check the connection and the id, or download it and name its folder in [eval.data]",
        ) from None
    for number, values in enumerate(rows, start=1):
        yield Record(f"{place.id}, {place.split}, row {number}", dict(values))
