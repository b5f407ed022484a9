"""Writes a file of ``torch.save`` one tensor at a time, whatever the size of the whole.

``torch.save`` wants every tensor in memory at once. The file is a zip archive without compression:
a pickle that names the tensors, and the bytes of each as a record of its own, which ``torch.load``
reads, maps into memory and opens with ``weights_only=True``. Every check sum is right, so that
readers which use no torch open it as well.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

ALIGNED = 64
"""Bytes; records begin at multiples of it, as torch lays them."""
KINDS = {"float16": "HalfStorage", "bfloat16": "BFloat16Storage", "float32": "FloatStorage"}
PADDING = 0x4246
"""Mark of the extra field that fills a record's heading up, as torch writes it."""
HEADING, WIDE = 30, 20
"""Bytes of a zip record's heading without name, and of what tells sizes of 64 bits."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The same date in every file, so that the same weights are the same bytes."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: Any
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Pickled as what rebuilds a tensor from the record of its storage."""

    storage: _Storage
    shape: tuple[int, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        from torch._utils import _rebuild_tensor_v2

        strides = tuple(prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))
        hooks: OrderedDict[str, Any] = OrderedDict()
        told = (self.storage, 0, self.shape, strides, False, hooks)
        return _rebuild_tensor_v2, told


class _Pickler(pickle.Pickler):
    def persistent_id(self, found: Any) -> Any:
        if isinstance(found, _Storage):
            return "storage", found.kind, found.key, "cpu", found.count
        return None


def write(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str, get: Callable[[str], Any]
) -> None:
    """Write the tensors that ``get`` returns by name, in the order of ``shapes``.

    Each is asked for once and let go before the next. ``dtype`` is float16, bfloat16 or float32,
    and every tensor has it. Raises ValueError for a tensor of another dtype or shape.
    """
    root = path.stem
    with path.open("wb") as file, ZipFile(file, "w", ZIP_STORED) as archive:
        _record(archive, f"{root}/data.pkl", _named(shapes, dtype))
        _record(archive, f"{root}/byteorder", b"little")
        for key, (name, shape) in enumerate(shapes.items()):
            _record(archive, f"{root}/data/{key}", _bytes(name, shape, dtype, get(name)))
        _record(archive, f"{root}/version", b"3\n")


def _named(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> bytes:
    import torch

    kind = getattr(torch, KINDS[dtype])
    tensors = {
        name: _Tensor(_Storage(str(key), kind, prod(shape)), tuple(shape))
        for key, (name, shape) in enumerate(shapes.items())
    }
    told = io.BytesIO()
    _Pickler(told, protocol=2).dump(tensors)
    return told.getvalue()


def _bytes(name: str, shape: tuple[int, ...], dtype: str, tensor: Any) -> Any:
    import torch

    if tuple(tensor.shape) != tuple(shape) or tensor.dtype != getattr(torch, dtype):
        raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}, not {dtype} {shape}")
    return memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def _record(archive: ZipFile, name: str, content: Any) -> None:
    """Add a record whose content begins at a multiple of ``ALIGNED`` bytes."""
    record = ZipInfo(name, LONG_AGO)
    assert archive.fp is not None
    begins = archive.fp.tell() + HEADING + len(name.encode()) + WIDE + 4
    fill = -begins % ALIGNED
    record.extra = struct.pack("<HH", PADDING, fill) + b"\0" * fill
    with archive.open(record, "w", force_zip64=True) as file:
        file.write(content)
