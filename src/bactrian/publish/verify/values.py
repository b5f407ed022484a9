"""Whether the values of tensors are finite, and whether any is not zero; read by pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.publish.verify.header import Entry

PIECE = 1 << 22
"""Values that are looked at together."""
BITS: Mapping[str, tuple[str, int, int]] = {
    "F64": ("u8", (1 << 63) - 1, 0x7FF << 52),
    "F32": ("u4", (1 << 31) - 1, 0xFF << 23),
    "F16": ("u2", (1 << 15) - 1, 0x1F << 10),
    "BF16": ("u2", (1 << 15) - 1, 0xFF << 7),
    "F8_E5M2": ("u1", 0x7F, 0x7C),
    "F8_E4M3": ("u1", 0x7F, 0x7F),
}
"""How numbers are kept: as whole numbers of so many bytes, all bits but the sign, and the smallest
such number that stands for infinity or NaN."""


@dataclass(frozen=True, slots=True)
class Values:
    """What the values of a tensor are like."""

    finite: bool
    zero: bool
    """Every one of them."""


def look(entries: Mapping[str, Entry]) -> dict[str, Values]:
    """Return what the values of every tensor are like; of numbers that are whole, all is finite."""
    import numpy as np

    opened: dict[Any, Any] = {}
    found = {}
    for name, entry in entries.items():
        if entry.begin == entry.end:
            found[name] = Values(finite=True, zero=True)
            continue
        if entry.file not in opened:
            opened[entry.file] = np.memmap(entry.file, dtype=np.uint8, mode="r")
        found[name] = values_in(opened[entry.file][entry.begin : entry.end], entry.dtype)
    return found


def values_in(stored: Any, dtype: str) -> Values:
    """Return what values are like that are stored in an array of bytes."""
    import numpy as np

    kind, magnitude, beyond = BITS.get(dtype, ("u1", 0xFF, 0x100))
    numbers = stored.view(np.dtype(f"<{kind}"))
    largest = 0
    for start in range(0, len(numbers), PIECE):
        piece = numbers[start : start + PIECE] & numbers.dtype.type(magnitude)
        largest = max(largest, int(piece.max()))
    return Values(finite=largest < beyond, zero=largest == 0)
