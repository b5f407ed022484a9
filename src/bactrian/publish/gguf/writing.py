"""Writes a GGUF file: keys first, then one tensor after the other, none of them kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bactrian.publish.gguf.storage import Stored, pieces, raw_type

Keys = Mapping[str, Any]
"""Whole names of keys; int is written as uint32, float as float32, a sequence as an array."""
HEADER = 1 << 18
"""Bytes beside tensors and vocabulary that are reckoned with."""


def write(
    path: Path,
    architecture: str,
    keys: Keys,
    tensors: Sequence[Stored],
    get: Callable[[str], Any],
) -> None:
    """Write a file; ``get`` returns the torch tensor of a name, in its order, when it is asked."""
    import numpy
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    try:
        _add(writer, keys)
        for stored in tensors:
            kind = raw_type(stored.type)
            writer.add_tensor_info(
                stored.name, stored.shape, numpy.dtype("float32"), stored.bytes, raw_dtype=kind
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        file = writer.fout[0]
        writer.write_padding(file, file.tell())
        for stored in tensors:
            _fill(writer, file, stored, get(stored.name))
        writer.flush()
    finally:
        writer.close()


def bytes_of(tensors: Sequence[Stored], vocabulary: int = 0) -> int:
    """Return about how large a file becomes, in bytes; ``vocabulary`` is the number of tokens."""
    return sum(stored.bytes for stored in tensors) + 64 * vocabulary + HEADER


def _fill(writer: Any, file: Any, stored: Stored, tensor: Any) -> None:
    """Write one tensor by pieces, so that a large embedding is never there in two types at once."""
    if tuple(tensor.shape) != stored.shape:
        raise ValueError(f"{stored.name} is {tuple(tensor.shape)}, not {stored.shape}")
    for piece in pieces(tensor, stored):
        file.write(piece)
    writer.write_padding(file, stored.bytes)


def _add(writer: Any, keys: Keys) -> None:
    for key, value in keys.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, list(value))  # integers become int32, as token types are
