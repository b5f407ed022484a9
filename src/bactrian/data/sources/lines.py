"""Reads a file of lines in UTF-8, and one JSON value a line, and says where a line breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bactrian.data.sources.json_faults import Start, broken, not_utf8, skip, unreadable
from bactrian.data.sources.record import Record

DECODER = json.JSONDecoder()


def text_lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of each line and its text with its end; a byte order mark is dropped."""
    # bytes are split at line feeds only: U+2028 and its like may stand inside a text
    for number, data in enumerate(file, start=1):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            column = len(data[: error.start].decode("utf-8")) + 1
            raise not_utf8(error, path, Start(number, column)) from None
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def json_lines(file: IO[bytes], path: Path) -> Iterator[Record]:
    """Yield the value of each line that is not empty."""
    for number, line in text_lines(file, path):
        text = line.rstrip("\r\n")
        at = skip(text, 0)
        if at < len(text):
            yield Record(number, _value(text, at, path, number))


def _value(text: str, at: int, path: Path, line: int) -> Any:
    try:
        value, end = DECODER.raw_decode(text, at)
        if (rest := skip(text, end)) < len(text):
            raise json.JSONDecodeError("Extra data", text, rest)
    except json.JSONDecodeError as error:
        raise broken(error, path, Start(line), "line") from None
    except (RecursionError, ValueError) as error:
        raise unreadable(error, path, line) from None
    return value
