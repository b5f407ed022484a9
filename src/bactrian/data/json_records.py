"""Reads the records of JSON and JSONL files, plain or gzipped, and says where a file breaks.

Knows nothing of what a record should hold.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from bactrian.errors import DataError

LINES = (".jsonl", ".jsonl.gz")
SUFFIXES = (".json", ".json.gz", *LINES)
EXPECTED = {
    "Expecting value": "expected a value, found {found}",
    "Expecting ',' delimiter": "expected a comma or a closing bracket, found {found}",
    "Expecting ':' delimiter": "expected a colon after the name, found {found}",
    "Expecting property name": "expected a name in double quotes, found {found}",
    "Illegal trailing comma": "expected no comma before a closing bracket, found {found}",
    "Unterminated string": "expected a closing quote for the text that begins with {found}",
    "Invalid control character": r"expected an escape such as \n inside the text, found {found}",
    "Invalid \\escape": r"expected an escape such as \n, found {found}",
    "Invalid \\uXXXX escape": r"expected four hexadecimal digits after \u, found {found}",
    "Extra data": "expected the end, found {found}",
}
"""A sentence for each thing that Python's JSON parser may say, by how that begins."""
CONTROLS = {"\n": "a line break", "\r": "a carriage return", "\t": "a tab"}
SHOWN = 20
"""Most characters of a broken file that an error shows."""
SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


class Record(NamedTuple):
    """One row of a file, whatever it is, and the line on which it begins."""

    line: int
    value: Any


def records(path: Path) -> Iterator[Record]:
    """Yield the records of one file in order.

    Raises DataError naming the file, and where it can the line, the column, what was expected
    there and what was found. JSONL is read a line at a time, JSON as a whole before the first row.
    """
    must_be_there(path)
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: unknown kind of file", f"known are: {', '.join(SUFFIXES)}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            opened = cast("IO[bytes]", file)
            if path.name.endswith(LINES):
                yield from _lines(opened, path)
            else:
                # all of it at once: a reader that stops early is told of a broken end, too
                yield from list(_array(opened, path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}", "fetch it again") from None


def must_be_there(path: Path) -> None:
    """Raise DataError where there is no such file."""
    if not path.is_file():
        raise DataError(
            f"{path} {'is not a file' if path.exists() else 'does not exist'}",
            "name the files under [sources] in the recipe, relative to the recipe's folder",
        )


def kind_of(value: Any) -> str:
    """Return what JSON calls a value, as it stands in a sentence."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = ((dict, "an object"), (list, "a list"), (str, "a text"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")


def _lines(file: IO[bytes], path: Path) -> Iterator[Record]:
    # bytes are split at line feeds only: U+2028 and its like may stand inside a text
    for number, data in enumerate(file, start=1):
        text = _decoded(data, path, number).rstrip("\r\n")
        at = _skip(text, 0)
        if at < len(text):
            value, at = _parsed(text, at, path, number)
            _must_end(text, at, path, number)
            yield Record(number, value)


def _array(file: IO[bytes], path: Path) -> Iterator[Record]:
    """Yield the elements one after another, so that each has its line."""
    text = _decoded(file.read(), path, 1)
    at = _skip(text, 0)
    if not text.startswith("[", at):
        found = kind_of(_parsed(text, at, path, 1)[0]) if at < len(text) else "nothing"
        raise DataError(
            f"{path}, line {1 + text.count(chr(10), 0, at)}: expected a list of rows, "
            f"found {found}",
            "put the rows between [ and ], or name the file .jsonl and put one row on a line",
        )
    at = _skip(text, at + 1)
    line, counted = 1, 0
    more = not text.startswith("]", at)
    while more:
        line, counted = line + text.count("\n", counted, at), at
        value, at = _parsed(text, at, path, 1)
        yield Record(line, value)
        at = _skip(text, at)
        if more := text.startswith(",", at):
            at = _skip(text, at + 1)
    if not text.startswith("]", at):
        raise _broken(json.JSONDecodeError("Expecting ',' delimiter", text, at), path, 1)
    _must_end(text, at + 1, path, 1)


def _decoded(data: bytes, path: Path, line: int) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        raise DataError(
            f"{path}, line {line + before.count(10)}, column {column}: expected UTF-8, "
            f"found the byte 0x{data[error.start]:02x}",
            "convert the file: iconv -f <its encoding> -t UTF-8",
        ) from None
    return text.removeprefix("\ufeff") if line == 1 else text


def _skip(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    assert found is not None  # the pattern matches nothing, too
    return found.end()


def _must_end(text: str, at: int, path: Path, line: int) -> None:
    if (rest := _skip(text, at)) < len(text):
        raise _broken(json.JSONDecodeError("Extra data", text, rest), path, line)


def _parsed(text: str, at: int, path: Path, line: int) -> tuple[Any, int]:
    """Return the value that begins at ``at``, and where it ends."""
    try:
        return DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _broken(error, path, line) from None
    except (RecursionError, ValueError) as error:
        deep = isinstance(error, RecursionError)  # else it is Python's limit on digits
        raise DataError(
            f"{path}, line {line + text.count(chr(10), 0, at)}: expected a row of texts, found "
            + ("lists or objects nested too deeply" if deep else "a number too long to read"),
            "leave that row out",
        ) from None


def _broken(error: json.JSONDecodeError, path: Path, line: int) -> DataError:
    """Return the error for the user; ``line`` is that on which the parsed text begins."""
    found = _found(error.doc, error.pos, "line" if path.name.endswith(LINES) else "file")
    sentence = next(
        (told for said, told in EXPECTED.items() if error.msg.startswith(said)),
        f"{error.msg}, found {{found}}",
    )
    return DataError(
        f"{path}, line {line + error.lineno - 1}, column {error.colno}: "
        + sentence.format(found=found),
        "mend the file there, or leave it out",
    )


def _found(text: str, at: int, whole: str) -> str:
    if _skip(text, at) == len(text):
        return f"the end of the {whole}"
    if text[at] in CONTROLS:
        return CONTROLS[text[at]]
    seen = text[at : at + SHOWN].splitlines()[0].rstrip()
    # what a file holds never reaches the terminal as a control sequence
    return "".join(["'", *(c if c.isprintable() else f"\\x{ord(c):02x}" for c in seen), "'"])
