"""The heading of a GGUF file, read with bounds: no count of a stranger's is believed unseen.

Format: the page "GGUF" in the documentation of ggml-org/ggml (versions 2 and 3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from bactrian.publish.verify.finding import Damaged

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""Types of a setting by their number, as struct writes them; 8 is a text, 9 a list."""
TEXT, LIST = 8, 9
LONGEST = 1 << 24
"""Bytes of a text, and parts of a list, that a file of sense may have."""
AGAIN = "fetch or export it again"


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a tensor of a GGUF file lies."""

    kind: int
    """Number of its quantisation."""
    shape: tuple[int, ...]
    """As ggml has it: the innermost size first."""
    begin: int
    """Byte of the file."""
    end: int


@dataclass(frozen=True, slots=True)
class Read:
    """A file's settings and tensors, without values."""

    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Kept] = field(default_factory=dict)


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def take(self, count: int) -> bytes:
        if count > self.size - self.file.tell():
            raise Damaged(
                f"it is cut off, or damaged: {count:,} bytes are told and not there", AGAIN
            )
        return self.file.read(count)

    def number(self, form: str) -> Any:
        (found,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return found

    def text(self) -> str:
        length = self.number("Q")
        if length > LONGEST:
            raise Damaged(f"it is damaged: a text of {length:,} bytes is told", AGAIN)
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == TEXT:
            return self.text()
        if kind != LIST or depth > 2:
            raise Damaged(f"it is damaged: no setting is of the type {kind}", AGAIN)
        inner, count = self.number("I"), self.number("Q")
        if count > LONGEST:
            raise Damaged(f"it is damaged: a list of {count:,} is told", AGAIN)
        if inner in NUMBERS:
            form = f"{count}{NUMBERS[inner]}"
            return list(struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}"))))
        return [self.value(inner, depth + 1) for _ in range(count)]


def read_gguf(path: Path) -> Read:
    """Return settings and tensors of a GGUF file; raises Damaged where it is not whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _read(_Reader(file, size))
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror}", AGAIN) from None


def _read(reader: _Reader) -> Read:
    if reader.take(4) != MAGIC:
        raise Damaged("it is no GGUF file: it does not begin with GGUF", AGAIN)
    version = reader.number("I")
    if version not in VERSIONS:
        raise Damaged(f"it is of GGUF's version {version}; known are 2 and 3", AGAIN)
    tensors, settings = reader.number("Q"), reader.number("Q")
    if max(tensors, settings) > LONGEST:
        raise Damaged(f"it is damaged: {max(tensors, settings):,} entries are told", AGAIN)
    found = Read()
    for _ in range(settings):
        key = reader.text()
        found.settings[key] = reader.value(reader.number("I"))
    told = [_told(reader) for _ in range(tensors)]
    step = found.settings.get("general.alignment", 32)
    if not isinstance(step, int) or step < 1:
        raise Damaged(f"it is damaged: an alignment of {step!r}", AGAIN)
    start = -(-reader.file.tell() // step) * step
    for name, kind, shape, offset in told:
        if name in found.tensors:
            raise Damaged(f"it is damaged: {name} is there twice", AGAIN)
        found.tensors[name] = _placed(name, kind, shape, start + offset, reader.size)
    return found


def _told(reader: _Reader) -> tuple[str, int, tuple[int, ...], int]:
    name, axes = reader.text(), reader.number("I")
    if axes > 4:
        raise Damaged(f"it is damaged: {name} has {axes} axes", AGAIN)
    shape = tuple(reader.number("Q") for _ in range(axes))
    return name, reader.number("I"), shape, reader.number("Q")


def _placed(name: str, kind: int, shape: tuple[int, ...], begin: int, size: int) -> Kept:
    from gguf import GGML_QUANT_SIZES

    known = {int(one): sizes for one, sizes in GGML_QUANT_SIZES.items()}
    if kind not in known:
        raise Damaged(
            f"{name} is of the quantisation {kind}, which the installed gguf does not know",
            "pip install -U gguf, or look at the file with the program that wrote it",
        )
    block, width = known[kind]
    end = begin + prod(shape) // block * width
    if (shape and shape[0] % block) or end > size:
        raise Damaged(f"it is cut off, or damaged: {name} ends at byte {end:,} of {size:,}", AGAIN)
    return Kept(kind, shape, begin, end)
