"""A merged model as a folder: weights, tokenizer, chat template, settings, and what it was made of.

Everything that transformers, vLLM and llama.cpp's converter read, and nothing of the base's that no
longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, did_you_mean
from bactrian.events import emit
from bactrian.models import prompts
from bactrian.publish import exported
from bactrian.publish.exported import Exported, check_room, parts_of, placed
from bactrian.publish.merge.described import write_config, write_generation, write_tokenizer
from bactrian.publish.merge.merged import DTYPES, Dtype, MergedWeights, merged_weights
from bactrian.publish.merge.mix import Mix
from bactrian.publish.merge.proof import KINDS, Kind, Written, chosen, prove
from bactrian.publish.merge.readme import readme
from bactrian.publish.merge.shards import SHARD, plan_shards, write_shards
from bactrian.publish.source import Source

BESIDE = 32 << 20
"""Bytes for all files that are not weights."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a merged folder is to be."""

    place: Path
    mix: Mix = field(default_factory=Mix)
    dtype: Dtype = "auto"
    proof: Kind = "auto"
    overwrite: bool = False
    command: str = ""
    """What makes it again."""
    shard: int = SHARD
    dequantised: str = ""
    """How the base's weights were quantised before they were made plain, empty where not."""

    def __post_init__(self) -> None:
        for name, told, known in (("dtype", self.dtype, DTYPES), ("proof", self.proof, KINDS)):
            if told not in known:
                raise ConfigError(f"unknown {name} {told}", did_you_mean(told, known))


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a merge would do."""

    tensors: int
    changed: int
    parameters: int
    bytes: int
    files: int
    dtype: str
    proof: str
    untied: bool


def foretell(source: Source, wish: Wish) -> Foretold:
    """Find out what would be written and how it would be proved; raises what the merge would."""
    _check_place(wish)
    weights = _room(source, wish)
    return Foretold(
        len(weights.shapes),
        len(weights.made),
        weights.parameters,
        weights.bytes,
        len(plan_shards(weights, wish.shard)),
        weights.dtype,
        chosen(wish.proof, weights),
        weights.untied,
    )


def write_merged(source: Source, wish: Wish) -> Exported:
    """Write the folder, hold it against base + adapters, and only then put it in its place.

    Returns what ``bactrian-export.json`` says. Raises ConfigError where something stands there,
    RunError without room and where the proof fails, AdapterError for what cannot be merged.
    """
    _check_place(wish)
    weights = _room(source, wish)
    kind = chosen(wish.proof, weights)
    if weights.untied:
        emit("decision", text="the head gets values of its own: the adapter changes one of the two")
    with placed(wish.place, overwrite=wish.overwrite) as folder:
        write_config(weights, source.base, folder)
        tokenizer = write_tokenizer(weights, source, folder)
        write_generation(source.base, tokenizer, folder)
        write_shards(weights, folder, wish.shard)
        style = prompts.style(source.prompt, tokenizer)
        proof = prove(kind, Written(folder, weights, source, wish.mix), tokenizer, style)
        record = _record(source, wish, weights, proof)
        exported.write(record, folder / exported.NAME)
        (folder / "README.md").write_text(readme(record, weights), encoding="utf-8")
    return record


def _check_place(wish: Wish) -> None:
    if wish.place.exists() and not wish.overwrite:
        raise ConfigError(f"{wish.place} exists already", "name another --to, or add --overwrite")


def _room(source: Source, wish: Wish) -> MergedWeights:
    weights = merged_weights(source, wish.mix, dtype=wish.dtype)
    check_room(wish.place, weights.bytes + BESIDE)
    return weights


def _record(source: Source, wish: Wish, weights: MergedWeights, proof: dict[str, Any]) -> Exported:
    alone = len(source.adapters) == 1 and wish.mix.method == "linear"
    if wish.dequantised:
        proof |= {"dequantised": wish.dequantised}
    told = {"density": wish.mix.density} if wish.mix.method in ("ties", "dare") else {}
    return Exported(
        kind="merged",
        base=source.base.id,
        base_revision=source.base.revision,
        base_fingerprint=source.base.fingerprint,
        parts=parts_of(source),
        method="alone" if alone else wish.mix.method,
        dtype=weights.dtype,
        prompt=source.prompt.name,
        command=wish.command,
        proof=proof | told,
        template=source.prompt.template,
    )
