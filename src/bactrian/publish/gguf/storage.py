"""How tensors are stored: five types, and which tensor gets which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bactrian.errors import ConfigError, did_you_mean

Type = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]
TYPES: tuple[str, ...] = get_args(Type)
QUANTISED = ("q8_0", "q4_0")
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7, "bf16": 32}
"""``general.file_type`` as llama.cpp counts them (LlamaFileType)."""
BLOCK = 32
"""Numbers of a row that share a scale in q8_0 and q4_0."""
LARGEST_F16 = 65504.0
CHUNK = 1 << 24
"""Numbers that are turned into another type at once."""
ENDS = ("token_embd.weight", "output.weight")
"""What is not cut down to four bits: every token goes through it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def bytes(self) -> int:
        """Bytes that it takes, without the filling up behind it."""
        numbers = 1
        for size in self.shape:
            numbers *= size
        return numbers * _sizes(self.type)[1] // _sizes(self.type)[0]


def checked(type: str) -> str:
    """Return the type; raises ConfigError for one that is not written."""
    if type not in TYPES:
        raise ConfigError(f"unknown type {type}", did_you_mean(type, TYPES))
    return type


def type_of(name: str, shape: Sequence[int], wanted: str) -> str:
    """Return the type of one tensor of a file in ``wanted``.

    Vectors stay in float32, which llama.cpp asks for; q4_0 keeps embedding and output in q8_0; a
    matrix whose rows are not whole blocks stays in float16.
    """
    if len(shape) < 2:
        return "f32"
    if wanted in QUANTISED and shape[-1] % BLOCK:
        return "f16"
    return "q8_0" if wanted == "q4_0" and name in ENDS else wanted


def raw_type(type: str) -> Any:
    """Return the type as the gguf package names it."""
    from gguf import GGMLQuantizationType

    return GGMLQuantizationType[type.upper()]


def pieces(tensor: Any, stored: Stored) -> Iterator[memoryview]:
    """Yield the bytes of a tensor in its type, some rows at a time; raises ConfigError in float16
    for numbers beyond its range.
    """
    from gguf import quants

    rows = tensor.shape[-1] if tensor.dim() else 1
    flat = tensor.reshape(-1, rows)
    step = max(1, CHUNK // rows)
    for start in range(0, flat.shape[0], step):
        part = flat[start : start + step].float().contiguous().numpy()
        if stored.type == "f16" and abs(part).max(initial=0.0) > LARGEST_F16:
            raise ConfigError(
                f"{stored.name} holds numbers beyond the range of f16 ({LARGEST_F16:.0f})",
                "write it as --type bf16, which has the range of f32",
            )
        yield memoryview(quants.quantize(part, raw_type(stored.type))).cast("B")


def _sizes(type: str) -> tuple[int, int]:
    """Return (numbers of a block, its bytes)."""
    from gguf import GGML_QUANT_SIZES

    return GGML_QUANT_SIZES[raw_type(type)]  # type: ignore[no-any-return]
