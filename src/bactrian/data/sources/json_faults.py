"""Says in good English where a JSON file breaks: what was expected there, what was found.

Knows nothing of files: a text, a place in it, and the line and column on which the text begins.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from bactrian.errors import DataError

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


class Start(NamedTuple):
    """Where a piece of text begins in its file; both from 1."""

    line: int = 1
    column: int = 1

    def after(self, text: str, at: int) -> Start:
        """Return the place of ``text[at]``, where the text begins here."""
        lines = text.count("\n", 0, at)
        if not lines:
            return Start(self.line, self.column + at)
        return Start(self.line + lines, at - text.rindex("\n", 0, at))


def skip(text: str, at: int) -> int:
    """Return where the white space (JSON's own) that begins at ``at`` ends."""
    found = SPACE.match(text, at)
    assert found is not None  # the pattern matches nothing, too
    return found.end()


def kind_of(value: Any) -> str:
    """Return what JSON calls a value, as it stands in a sentence."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = ((dict, "an object"), (list, "a list"), (str, "a text"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")


def broken(error: json.JSONDecodeError, path: Path, start: Start, whole: str) -> DataError:
    """Return the error for the user; ``whole`` is what ends where the text does: file, line."""
    found = _found(error.doc, error.pos, whole)
    sentence = next(
        (told for said, told in EXPECTED.items() if error.msg.startswith(said)),
        f"{error.msg}, found {{found}}",
    )
    line, column = start.after(error.doc, error.pos)
    return DataError(
        f"{path}, line {line}, column {column}: " + sentence.format(found=found),
        "mend the file there, or leave it out",
    )


def unreadable(error: RecursionError | ValueError, path: Path, line: int) -> DataError:
    """Return the error for a value that Python's parser refuses for its size."""
    deep = isinstance(error, RecursionError)  # else it is Python's limit on digits
    return DataError(
        f"{path}, line {line}: expected a row of texts, found "
        + ("lists or objects nested too deeply" if deep else "a number too long to read"),
        "leave that row out",
    )


def not_utf8(error: UnicodeDecodeError, path: Path, start: Start) -> DataError:
    """Return the error for bytes that are no UTF-8; ``start`` is the place of the first bad one."""
    return DataError(
        f"{path}, line {start.line}, column {start.column}: expected UTF-8, "
        f"found the byte 0x{error.object[error.start]:02x}",
        "convert the file: iconv -f <its encoding> -t UTF-8",
    )


def _found(text: str, at: int, whole: str) -> str:
    if skip(text, at) == len(text):
        return f"the end of the {whole}"
    if text[at] in CONTROLS:
        return CONTROLS[text[at]]
    seen = text[at : at + SHOWN].splitlines()[0].rstrip()
    # what a file holds never reaches the terminal as a control sequence
    return "".join(["'", *(c if c.isprintable() else f"\\x{ord(c):02x}" for c in seen), "'"])
