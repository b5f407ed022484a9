"""A whole model as a GGUF file: which tensors, which keys, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.errors import ConfigError
from bactrian.publish.gguf import llama, rope
from bactrian.publish.gguf.families import EMBEDDING, OUTPUT, Family
from bactrian.publish.gguf.storage import FILE_TYPES, QUANTISED, Stored, type_of
from bactrian.publish.weights import Weights

QUANTISATION_VERSION = 2
"""Of the blocks of q8_0 and q4_0, as llama.cpp counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A file before its tensors are read."""

    family: Family
    config: Any
    type: str
    tensors: tuple[Stored, ...]
    sources: Mapping[str, str]
    """Tensor of the file to tensor of the folder."""
    rows: int
    """Of the embedding."""

    @property
    def kept_back(self) -> tuple[str, ...]:
        """Matrices that stay in float16, as their rows are not whole blocks."""
        wanted = self.type in QUANTISED
        return tuple(one.name for one in self.tensors if wanted and one.type == "f16")


def plan(family: Family, config: Any, weights: Weights, type: str) -> Plan:
    """Return what a file of the weights holds; reads none but a head that may be the embedding.

    Raises ConfigError for tensors that the architecture has no place for, and without embedding.
    """
    sources = {}
    for tensor in weights.shapes:
        if (name := family.name(tensor)) is not None:
            sources[name] = tensor
    embedding = sources.get(f"{EMBEDDING}.weight")
    if embedding is None:
        raise ConfigError(
            "the weights have no embedding of tokens",
            "see whether the folder is whole: its *.safetensors and their index",
        )
    head = sources.get(f"{OUTPUT}.weight")
    if head is not None and _is_tied(config, weights, embedding, head):
        del sources[f"{OUTPUT}.weight"]  # llama.cpp takes the embedding where there is no head
    tensors = [
        Stored(name, tuple(weights.shapes[source]), type_of(name, weights.shapes[source], type))
        for name, source in sources.items()
    ]
    if (factors := _factors(family, config)) is not None:
        tensors.append(Stored(rope.FACTORS, (len(factors),), "f32"))
    rows = int(weights.shapes[embedding][0])
    return Plan(family, config, type, tuple(tensors), sources, rows)


def keys_of(planned: Plan) -> dict[str, Any]:
    """Return the keys that say how the model is computed."""
    family, config = planned.family, planned.config
    told = {
        "vocab_size": planned.rows,
        "context_length": family.context(config),
        **family.settings(config),
    }
    keys: dict[str, Any] = {f"{family.architecture}.{key}": value for key, value in told.items()}
    keys["general.file_type"] = FILE_TYPES[planned.type]
    if planned.type in QUANTISED:
        keys["general.quantization_version"] = QUANTISATION_VERSION
    return keys


def reader(planned: Plan, weights: Weights) -> Callable[[str], Any]:
    """Return what gives each tensor of the file, its rows in llama.cpp's order."""

    def get(name: str) -> Any:
        if name == rope.FACTORS:
            import torch

            return torch.tensor(_factors(planned.family, planned.config))
        tensor = weights.get(planned.sources[name])
        order = planned.family.order(name, planned.config)
        return tensor if order is None else order(tensor)

    return get


def _factors(family: Family, config: Any) -> list[float] | None:
    if not getattr(config, "rope_parameters", None):
        return None
    return rope.frequency_factors(config, llama.head(config))


def _is_tied(config: Any, weights: Weights, embedding: str, head: str) -> bool:
    """Whether a head that is in the files is the embedding once more; some folders have both."""
    if not config.tie_word_embeddings or weights.shapes[embedding] != weights.shapes[head]:
        return False
    return bool((weights.get(embedding) == weights.get(head)).all())
