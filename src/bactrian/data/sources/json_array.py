"""Reads a JSON array one element at a time, in memory that does not grow with the file.

A window of text moves over the file. An error inside it is the file's only where more text could
not mend it.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bactrian.data.sources.json_faults import (
    SHOWN,
    Start,
    broken,
    kind_of,
    not_utf8,
    skip,
    unreadable,
)
from bactrian.data.sources.record import Record
from bactrian.errors import DataError

CHUNK = 1 << 18
"""Bytes that are read at once."""
MENDABLE = 16
"""An error this near to the end of the window may come from the cut: ``\\ud83d\\udc2a``, ``-1e+``,
``-Infinity``."""
DECODER = json.JSONDecoder()


class Window:
    """A stretch of the file's text, and where it begins there."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self.text = ""
        self.start = Start()
        self.ended = False
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._first = True

    def more(self, at: int) -> int:
        """Drop the text before ``at``, read on, and return where ``at`` is now.

        Reads as much again as is held, so that a long row is not parsed over and over.
        """
        self.start = self.start.after(self.text, at)
        held = self.text[at:]
        data = self._file.read(max(CHUNK, len(held)))
        self.ended = not data
        try:
            new = self._decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            good = held + error.object[: error.start].decode("utf-8")
            raise not_utf8(error, self.path, self.start.after(good, len(good))) from None
        if self._first:
            new = new.removeprefix("\ufeff")
            self._first = not new
        self.text = held + new
        return 0

    def space(self, at: int) -> int:
        """Return where the white space at ``at`` ends; there is a character unless the file ends.

        What stands before ``at`` may be dropped.
        """
        at = skip(self.text, at)
        while at == len(self.text) and not self.ended:
            at = self.more(at)
            at = skip(self.text, at)
        return at

    def value(self, at: int) -> tuple[Any, int, int]:
        """Return the value at ``at``, where it begins and where it ends in the window now."""
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, at)
                # a number near the end of the window may go on: 12|.5, 12.|5, 12e+|5
                if end + 2 < len(self.text) or self.ended:
                    return value, at, end
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos + MENDABLE > len(self.text)
                if self.ended or not cut:
                    raise self.fault(error.msg, error.pos) from None
            except (RecursionError, ValueError) as error:
                line = self.start.after(self.text, at).line
                raise unreadable(error, self.path, line) from None
            at = self.more(at)

    def fault(self, message: str, at: int) -> DataError:
        """Return the error for ``at``, with enough text behind it to show what was found."""
        while not self.ended and len(self.text) < skip(self.text, at) + SHOWN:
            at = self.more(at)
        return broken(json.JSONDecodeError(message, self.text, at), self.path, self.start, "file")


def array(file: IO[bytes], path: Path) -> Iterator[Record]:
    """Yield the elements one after another, each with its line; raises DataError."""
    window = Window(file, path)
    at = window.space(0)
    if not window.text.startswith("[", at):
        raise _no_list(window, at)
    at = window.space(at + 1)
    line, counted, begun = window.start.line, 0, window.start
    more = not window.text.startswith("]", at)
    while more:
        value, at, end = window.value(at)
        if window.start is not begun:  # the window moved: count from its new beginning
            line, counted, begun = window.start.line, 0, window.start
        line, counted = line + window.text.count("\n", counted, at), at
        yield Record(line, value)
        at = window.space(end)
        if more := window.text.startswith(",", at):
            at = window.space(at + 1)
    if not window.text.startswith("]", at):
        raise window.fault("Expecting ',' delimiter", at)
    if (rest := window.space(at + 1)) < len(window.text):
        raise window.fault("Extra data", rest)


def holds_objects(file: IO[bytes], path: Path) -> bool:
    """Return whether the file holds one object after another: JSON lines under another name."""
    window = Window(file, path)
    at = window.space(0)
    if not window.text.startswith("{", at):
        return False
    try:
        _, _, end = window.value(at)
    except DataError:
        return False
    line = window.start.after(window.text, end).line
    at = window.space(end)
    return window.text.startswith("{", at) and window.start.after(window.text, at).line > line


def _no_list(window: Window, at: int) -> DataError:
    found = "nothing"
    if at < len(window.text):
        value, at, _ = window.value(at)
        found = kind_of(value)
    line = window.start.after(window.text, at).line
    return DataError(
        f"{window.path}, line {line}: expected a list of rows, found {found}",
        "put the rows between [ and ], or name the file .jsonl and put one row on a line",
    )
