"""Reads the rows of CSV and TSV files; the first row names the columns.

Quoted fields may hold line breaks, and be as long as they like.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from bactrian.data.sources.lines import text_lines
from bactrian.data.sources.record import Record
from bactrian.errors import DataError

LONGEST = 1 << 31
"""Longest field in code points; the module's own limit, 131072, is shorter than real answers."""


def rows(file: IO[bytes], path: Path, *, delimiter: str = ",") -> Iterator[Record]:
    """Yield each row as an object of texts, by the names of the columns.

    Raises DataError for quotes that do not close, for a row with too many or too few fields, and
    for a header with an empty name or the same name twice.
    """
    csv.field_size_limit(max(LONGEST - 1, csv.field_size_limit()))
    lines = (text for _, text in text_lines(file, path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    for line, fields in _numbered(reader, path):
        if names is None:
            names = _header(fields, path, line)
        elif fields:
            if len(fields) != len(names):
                raise DataError(
                    f"{path}, line {line}: expected {_fields(len(names))}, as the first row has, "
                    f"found {len(fields)}",
                    'put fields with a delimiter or a line break in them between " and "',
                )
            yield Record(line, dict(zip(names, fields, strict=True)))


tab_rows = partial(rows, delimiter="\t")


def _numbered(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line on which it begins."""
    lines = 0
    try:
        for fields in reader:
            yield lines + 1, fields
            lines = reader.line_num  # type: ignore[attr-defined]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {lines + 1}: this row is no CSV: {error}", "mend the quotes there"
        ) from None


def _header(fields: list[str], path: Path, line: int) -> list[str]:
    names = [field.strip() for field in fields]
    twice = [name for name, times in Counter(names).items() if times > 1 or not name]
    if twice or not names:
        raise DataError(
            f"{path}, line {line}: expected the names of the columns, each once, found "
            + (f"{twice[0]!r} {names.count(twice[0])} times" if twice else "nothing"),
            "name every column in the first row, such as instruction,input,output",
        )
    return names


def _fields(count: int) -> str:
    return f"{count} field{'s' if count > 1 else ''}"
