"""Reads the rows of Parquet files, a batch at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bactrian.data.sources.record import Record
from bactrian.errors import DataError

BATCH = 1024
"""Rows that are held at once."""


def rows(file: IO[bytes], path: Path) -> Iterator[Record]:
    """Yield each row as an object; its "line" is its number, from 1."""
    if path.suffix == ".parquet":
        yield from _rows(path, path)
        return
    with tempfile.TemporaryFile() as unpacked:  # Parquet is read from its end
        shutil.copyfileobj(file, unpacked)
        yield from _rows(unpacked, path)


def _rows(opened: Path | IO[bytes], path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    number = 0
    try:
        with parquet.ParquetFile(opened) as table:
            for batch in table.iter_batches(batch_size=BATCH):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(number, value)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a whole Parquet file: {str(error).strip()}", "fetch it again"
        ) from None
