"""An adapter alone as a GGUF file: a few megabytes that llama.cpp lays over a base's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError
from bactrian.publish.gguf.families import EMBEDDING, OUTPUT, Family
from bactrian.publish.gguf.storage import Stored
from bactrian.publish.merge.adapter import changes_of, open_tensors
from bactrian.publish.merge.changes import Change, LowRank
from bactrian.publish.merge.places import places_of
from bactrian.publish.source import Source
from bactrian.publish.weights import FolderWeights

MERGE = "put it into the base instead: bactrian export gguf"


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter before its tensors are read."""

    family: Family
    config: Any
    alpha: float
    """What llama.cpp divides by the rank of each tensor and multiplies by."""
    parts: Mapping[str, LowRank]
    """By the tensor of the base's file that it is laid over."""
    tensors: tuple[Stored, ...]


def lora_of(source: Source, family: Family, config: Any, type: str) -> Lora:
    """Return the adapter of a source, of ``type`` f32 or f16.

    Raises AdapterError for what llama.cpp cannot lay over a base: DoRA, trained embeddings, heads,
    biases and whole modules.
    """
    (chosen,) = source.adapters
    places = places_of(source.base, FolderWeights(source.base.folder).shapes)
    found = changes_of(open_tensors(chosen.folder), places)
    parts = {}
    for parameter, changes in found.items():
        name = family.name(places.names.get(parameter, parameter))
        if name is None:
            raise AdapterError(f"{chosen.folder}: {parameter} is not in a GGUF file", MERGE)
        tied = parameter in places.tied
        parts[name] = _low_rank(chosen.folder, parameter, name, changes, tied=tied)
    ranks = {name: part.down().shape[0] for name, part in parts.items()}
    first = next(iter(parts))
    alpha = parts[first].scale * ranks[first]
    tensors = [
        stored for name, part in parts.items() for stored in _stored(name, part, ranks[name], type)
    ]
    return Lora(family, config, alpha, parts, tuple(tensors))


def keys_of(lora: Lora) -> dict[str, Any]:
    """Return the keys that make a file an adapter's."""
    return {"adapter.type": "lora", "adapter.lora.alpha": float(lora.alpha)}


def reader(lora: Lora) -> Callable[[str], Any]:
    """Return what gives each tensor of the file: A as it is, B with its rows in order.

    llama.cpp multiplies by alpha / rank. Where the adapter's own scale of a layer is another
    (rsLoRA with several ranks, patterns of alpha), B takes the rest.
    """

    def get(tensor: str) -> Any:
        name, _, side = tensor.rpartition(".")
        part = lora.parts[name]
        down = part.down()
        if side == "lora_a":
            return down
        scale = lora.alpha / down.shape[0]
        up = part.up()
        if not isclose(part.scale, scale, rel_tol=1e-6):
            up = up.float() * (part.scale / scale)
        order = lora.family.order(name, lora.config)
        return up if order is None else order(up)

    return get


def _low_rank(
    folder: Path, parameter: str, name: str, changes: tuple[Change, ...], *, tied: bool
) -> LowRank:
    if name.startswith(f"{EMBEDDING}.") or (tied and name.startswith(f"{OUTPUT}.")):
        raise AdapterError(
            f"{folder} changes the embedding or a head that shares its values, which llama.cpp "
            "cannot lay over",
            MERGE,
        )
    (change,) = changes if len(changes) == 1 else (None,)
    if not isinstance(change, LowRank):
        raise AdapterError(
            f"{folder} changes {parameter} otherwise than by B A, which llama.cpp cannot lay over",
            MERGE,
        )
    if change.magnitude is not None:
        raise AdapterError(f"{folder} is a DoRA adapter, which llama.cpp cannot lay over", MERGE)
    return change


def _stored(name: str, part: LowRank, rank: int, type: str) -> tuple[Stored, Stored]:
    down, up = part.down().shape, part.up().shape
    return (
        Stored(f"{name}.lora_a", (rank, int(down[1])), type),
        Stored(f"{name}.lora_b", (int(up[0]), rank), type),
    )
