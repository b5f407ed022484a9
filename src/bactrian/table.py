"""Rows on disk between the stages: Parquet, streamed both ways, with what they were made from.

A file is a pure function of what ``made_from`` hashes, so a stage whose file says the same is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bactrian.errors import DataError
from bactrian.files import atomic
from bactrian.schema import Example, Flag, Provenance

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_GROUP = 4096
PROVENANCE = tuple(field.name for field in fields(Provenance))
TEXTS = ("instruction", "input", "output", "id", "language", *PROVENANCE, "missing", "kept")
FLAG = tuple(field.name for field in fields(Flag))
NEEDED = ("id", "instruction", "output")
"""Columns without which a file made elsewhere is no dataset of instructions."""


@dataclass(frozen=True, slots=True)
class Row:
    """An example with what the checks found on it."""

    example: Example
    flags: tuple[Flag, ...] = ()

    @property
    def rejected(self) -> bool:
        """Whether any flag is grave enough to keep the row out."""
        return any(flag.severity == "reject" for flag in self.flags)


@dataclass(frozen=True, slots=True)
class Info:
    """What a file says of itself."""

    rows: int
    made_from: str
    """Hash of everything the rows follow from."""
    content: str
    """Hash of the rows."""
    facts: dict[str, Any]
    """Counts that the stage wrote beside them."""


def hash_of(*parts: Any) -> str:
    """Return the blake2b-128 of plain JSON values."""
    data = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write(
    path: Path, rows: Iterable[Row], made_from: str, facts: dict[str, Any] | None = None
) -> Info:
    """Write rows, whole or not at all; ``facts`` may be filled while the rows are drawn.

    Raises DataError for text that is no Unicode, RunError when the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    digest = hashlib.blake2b(digest_size=16)
    count = 0
    drawn = iter(rows)
    with (
        atomic(path) as unfinished,
        parquet.ParquetWriter(
            unfinished, _schema(), compression="zstd", write_page_checksum=True
        ) as writer,
    ):
        while group := list(islice(drawn, ROWS_A_GROUP)):
            count += len(group)
            columns = [_plain(row) for row in group]
            digest.update(_bytes_of(columns))
            writer.write_table(pa.Table.from_pylist(columns, schema=_schema()))
        info = Info(count, made_from, digest.hexdigest(), facts or {})
        writer.add_key_value_metadata({"bactrian": orjson.dumps(asdict(info)).decode()})
    return info


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, a row group at a time.

    Raises DataError for a file that is damaged, no Parquet, or without instructions.
    """
    with _opened(path) as file:
        if lacking := [name for name in NEEDED if name not in file.schema_arrow.names]:
            raise DataError(
                f"{path} has no column {lacking[0]}", f"a dataset has {', '.join(NEEDED)} and input"
            )
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            for found in batch.to_pylist():
                yield _row(found)


def info(path: Path) -> Info | None:
    """Return what the file says of itself, or None where there is no such file.

    A Parquet file that was made elsewhere is described by its bytes.
    """
    if not path.is_file():
        return None
    with _opened(path) as opened:
        metadata, rows = opened.metadata.metadata or {}, opened.metadata.num_rows
    if b"bactrian" in metadata:
        return Info(**orjson.loads(metadata[b"bactrian"]))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return Info(rows, digest, digest, {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "run the stage before it first") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a whole Parquet file: {str(error).strip()}",
            "remove it and run the stage that made it again",
        ) from None


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts = [pa.field(name, pa.string()) for name in TEXTS]
    flag = pa.struct([pa.field(name, _flag_type(name)) for name in FLAG])
    return pa.schema([*texts, pa.field("flags", pa.list_(flag))])


def _flag_type(name: str) -> pa.DataType:
    import pyarrow as pa

    return pa.int32() if name == "start" else pa.string()


def _bytes_of(columns: list[dict[str, Any]]) -> bytes:
    try:
        return orjson.dumps(columns)
    except orjson.JSONEncodeError:
        for row in columns:
            for name in TEXTS:
                if any("\ud800" <= letter <= "\udfff" for letter in row[name]):
                    raise DataError(
                        f"row {row['id']!r} holds half of a character (a lone surrogate) in {name}",
                        "mend that row where it comes from",
                    ) from None
        raise


def _plain(row: Row) -> dict[str, Any]:
    example = row.example
    return {
        "instruction": example.instruction,
        "input": example.input,
        "output": example.output,
        "id": example.id,
        "language": example.language,
        **{name: getattr(example.provenance, name) for name in PROVENANCE},
        "missing": example.missing,
        "kept": example.kept,
        "flags": [asdict(flag) for flag in row.flags],
    }


def _row(found: dict[str, Any]) -> Row:
    """Return the row; columns that files made elsewhere lack are empty."""
    example = Example(
        str(found["id"]),
        found.get("language") or "",
        found["instruction"] or "",
        found.get("input") or "",
        found["output"] or "",
        Provenance(**{name: found.get(name) or "" for name in PROVENANCE}),
        found.get("missing") or "",
        found.get("kept") or "",
    )
    return Row(example, tuple(Flag(**flag) for flag in found.get("flags") or ()))
