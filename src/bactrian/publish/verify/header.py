"""The heading of a safetensors file, read without the values and held against the file's size.

Format: huggingface/safetensors, README (8 bytes of length, JSON, the values without a gap).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from bactrian.publish.verify.finding import Damaged
from bactrian.publish.verify.read import parsed

LONGEST = 100_000_000
"""Bytes of a heading that safetensors reads."""
SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes a value, by safetensors' names of dtypes."""
WORDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor lies."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Byte of the file."""
    end: int


def read_header(path: Path) -> dict[str, Entry]:
    """Return every tensor of a safetensors file; raises Damaged where the file is not whole."""
    again = "fetch it again, or write it again with safetensors"
    name = path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(LONGEST, size - 8):
                raise Damaged(
                    f"{name} is damaged: it says that its heading has {length:,} bytes, and the "
                    f"file has {size:,}",
                    again,
                )
            told = parsed(file.read(length), f"the heading of {name}")
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}", again) from None
    if not isinstance(told, dict):
        raise Damaged(f"{name} is damaged: its heading is no JSON object", again)
    told.pop("__metadata__", None)
    found = {key: _entry(path, key, one, 8 + length) for key, one in told.items()}
    _check_whole(name, found, 8 + length, size)
    return found


def _entry(path: Path, name: str, told: Any, start: int) -> Entry:
    try:
        dtype, shape, (begin, end) = told["dtype"], tuple(told["shape"]), told["data_offsets"]
        whole = all(type(one) is int and one >= 0 for one in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole, dtype = False, None
    if not whole or dtype not in SIZES or end - begin != prod(shape) * SIZES[dtype]:
        raise Damaged(
            f"{path.name} is damaged: dtype, shape and place of {name} do not belong together",
            "fetch it again, or write it again with safetensors",
        )
    return Entry(path, dtype, shape, start + begin, start + end)


def _check_whole(name: str, found: Mapping[str, Entry], start: int, size: int) -> None:
    """The values lie one after another up to the end of the file."""
    place = start
    for key, one in sorted(found.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if one.begin != place:
            raise Damaged(
                f"{name} is damaged: {key} overlaps another tensor, or lies behind a gap",
                "fetch it again, or write it again with safetensors",
            )
        place = one.end
    if place != size:
        kind = "cut off" if place > size else "longer than its heading says"
        raise Damaged(
            f"{name} is {kind}: {size:,} bytes, and its heading tells of {place:,}",
            "fetch it again: the download or the disk gave out"
            if place > size
            else "fetch it again",
        )
