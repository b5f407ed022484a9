"""Weights of a folder in transformers' format, one tensor at a time, whatever their size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bactrian.errors import ConfigError

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class Weights(Protocol):
    """Named tensors that are read, or computed, when they are asked for."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, by its name in the folder, in the order of the files."""

    def get(self, name: str) -> Any:
        """Return one tensor on the CPU, in the dtype that it is stored in."""


class FolderWeights:
    """The safetensors files of a folder; raises ConfigError where there are none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: Mapping[str, Path] = _files(folder)
        """The file that holds a tensor, by the tensor's name."""
        self.shapes: Mapping[str, tuple[int, ...]] = self._shapes()

    def get(self, name: str) -> Any:
        """Return one tensor on the CPU, in the dtype that it is stored in."""
        from safetensors import safe_open

        with safe_open(self.files[name], framework="pt") as file:
            return file.get_tensor(name)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        from safetensors import safe_open

        shapes = {}
        for path in dict.fromkeys(self.files.values()):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    shapes[name] = tuple(file.get_slice(name).get_shape())
        return shapes


def _files(folder: Path) -> dict[str, Path]:
    from safetensors import safe_open

    index = folder / INDEX
    if index.is_file():
        placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {name: folder / file for name, file in placed.items()}
    whole = folder / WHOLE
    if not whole.is_file():
        raise ConfigError(
            f"{folder} has no {WHOLE}",
            "save it once with safetensors: model.save_pretrained(…) of transformers",
        )
    with safe_open(whole, framework="pt") as file:
        return dict.fromkeys(file.keys(), whole)
