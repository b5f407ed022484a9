"""Writes safetensors files a tensor at a time, so that memory follows the largest, not the sum.

The format: eight bytes with the header's length, a JSON header with dtype, shape and place of each
tensor, then their bytes without gaps (huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from bactrian.events import emit
from bactrian.publish.weights import INDEX, WHOLE, FolderWeights

CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What safetensors calls the dtypes."""
SHARD = 4_000_000_000
"""Bytes a file holds at most; a tensor that is larger has a file of its own."""
PIECE = 1 << 26
"""Bytes that are handed to the disk at a time."""


class Streamed(Protocol):
    """Tensors whose shapes and dtypes are known before they are made."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """By name, in the order in which they are best made."""

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        """By name."""

    def get(self, name: str) -> Tensor:
        """Return one tensor on the CPU."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A file that is to be written and the names of its tensors."""

    file: str
    names: tuple[str, ...]


def stored_dtypes(weights: FolderWeights) -> dict[str, torch.dtype]:
    """Return the dtype of every tensor of a folder, without reading one."""
    from safetensors import safe_open

    codes = {code: dtype for dtype, code in CODES.items()}
    found = {}
    for path in dict.fromkeys(weights.files.values()):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                code = file.get_slice(name).get_dtype()
                found[name] = codes[code] if code in codes else file.get_tensor(name).dtype
    return found


def plan_shards(weights: Streamed, limit: int = SHARD) -> list[Planned]:
    """Return the files, in the order of the tensors, none over ``limit`` bytes of two or more."""
    groups: list[list[str]] = [[]]
    room = limit
    for name in weights.shapes:
        size = _bytes(weights, name)
        if size > room and groups[-1]:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size
    if len(groups) == 1:
        return [Planned(WHOLE, tuple(groups[0]))]
    return [
        Planned(f"model-{number:05}-of-{len(groups):05}.safetensors", tuple(names))
        for number, names in enumerate(groups, start=1)
    ]


def write_shards(weights: Streamed, folder: Path, limit: int = SHARD) -> list[Path]:
    """Write all tensors into ``folder`` and, for several files, the index; return the files."""
    planned = plan_shards(weights, limit)
    total, done = len(weights.shapes), 0
    for one in planned:
        for _ in _write(folder / one.file, one.names, weights):
            done += 1
            emit("progress", task="merge", done=done, total=total)
    if len(planned) > 1:
        _write_index(folder / INDEX, planned, weights)
    return [folder / one.file for one in planned]


def _write(path: Path, names: tuple[str, ...], weights: Streamed) -> Iterator[str]:
    """Write one file, and yield each name when its tensor is in it."""
    # the widest numbers first: every tensor then begins at a multiple of its own width
    ordered = sorted(names, key=lambda name: -weights.dtypes[name].itemsize)
    with path.open("wb") as file:
        file.write(_header(ordered, weights))
        for name in ordered:
            tensor = weights.get(name)
            if tensor.dtype != weights.dtypes[name] or tuple(tensor.shape) != weights.shapes[name]:
                raise AssertionError(f"{name} is {tensor.dtype} {list(tensor.shape)}")
            _pour(tensor, file.write)
            yield name
        file.flush()
        os.fsync(file.fileno())


def _header(names: list[str], weights: Streamed) -> bytes:
    told: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name in names:
        end = start + _bytes(weights, name)
        told[name] = {
            "dtype": CODES[weights.dtypes[name]],
            "shape": list(weights.shapes[name]),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _pour(tensor: Tensor, write: Callable[[memoryview], object]) -> None:
    """Hand the tensor's bytes over a piece at a time, copying none where it lies in one row."""
    numbers = tensor.detach().contiguous().reshape(-1)
    step = PIECE // tensor.element_size()
    for start in range(0, numbers.numel(), step):
        write(memoryview(numbers[start : start + step].view(torch.uint8).numpy()))


def _write_index(path: Path, planned: list[Planned], weights: Streamed) -> None:
    placed = {name: one.file for one in planned for name in one.names}
    size = sum(_bytes(weights, name) for name in weights.shapes)
    numbers = sum(map(prod, weights.shapes.values()))
    told = {
        "metadata": {"total_parameters": numbers, "total_size": size},
        "weight_map": dict(sorted(placed.items())),
    }
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _bytes(weights: Streamed, name: str) -> int:
    size: int = prod(weights.shapes[name]) * weights.dtypes[name].itemsize
    return size
