"""What the files of an adapter say of themselves, told without opening a tensor."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile, is_zipfile

EMPTY_PICKLE = 1024
"""Bytes; a file of torch.save from before 2020 that is smaller holds no tensor."""
SIDES = ("lora_A", "lora_B")
PREFIX = "base_model.model."
"""What PEFT writes before the path of a module."""


def place_of(name: str) -> tuple[str, str]:
    """Return (module in the base, lora_A or lora_B) of a tensor's name in PEFT's format.

    The second is empty where the tensor is none of LoRA's, and the first its whole name.
    """
    parts = name.removeprefix(PREFIX).split(".")
    sides = [part for part in parts if part.startswith("lora_")]
    if not sides:
        return name, ""
    return ".".join(parts[: parts.index(sides[0])]), sides[0]


def holds_nothing(pickle: Path) -> bool:
    """Whether a file of torch.save has no tensor in it; told by its table of contents alone."""
    if not is_zipfile(pickle):
        return pickle.stat().st_size < EMPTY_PICKLE
    with ZipFile(pickle) as archive:
        return not any("/data/" in name for name in archive.namelist())
