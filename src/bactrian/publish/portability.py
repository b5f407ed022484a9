"""Which programs open an adapter as it is, why others do not, and what to do about it.

Sources: vLLM, "LoRA Adapters" and "List of Supported Models" in its documentation, and its
lora/peft_helper.py (modules_to_save, DoRA and bias are refused, one alpha / r for all layers);
llama.cpp, convert_lora_to_gguf.py (pairs of A and B alone, one alpha); TGI, "LoRA" in its
documentation (archived in March 2026). Knows names and numbers, opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.models.portability import VLLM_RANKS, vllm_rank
from bactrian.publish.gguf.families import FAMILIES

VLLM_WITHOUT_LORA = ("bloom", "falcon", "gpt2", "gpt_neox", "gptj", "mpt")
"""Families that vLLM serves, with an empty column LoRA in its list of models."""
TGI_LAYERS = frozenset(
    ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj")
)
TWO_STACKS = ("t5", "mt5", "umt5", "bart", "mbart", "m2m_100", "pegasus")
MERGE = "merge it into its base: bactrian export merged {folder} --to PLACE"


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides who opens an adapter."""

    layers: tuple[str, ...]
    """Last names of the layers that it changes."""
    rank: int
    """The largest."""
    same_scale: bool
    """Whether one alpha / r holds for every layer."""
    same_alpha: bool
    rslora: bool
    dora: bool
    bias: bool
    whole: tuple[str, ...]
    """Modules, or rows of the embedding, that are kept whole beside A and B."""
    embedding: bool
    """Whether there are A and B of an embedding."""
    others: tuple[str, ...]
    """Further settings that only PEFT knows."""
    family: str
    """model_type of its base, empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Opens:
    """What one program makes of an adapter."""

    program: str
    opens: bool
    why: str
    """With what settings, or what stands in the way."""
    do: str = ""


def traits(config: Mapping[str, Any], layers: tuple[str, ...], rank: int, family: str) -> Traits:
    """Return what adapter_config.json and the names of the tensors tell.

    ``layers`` are the last names of the layers that have tensors, ``rank`` the largest of A.
    """
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    alpha = config.get("lora_alpha")
    others = (
        "target_parameters",
        "layer_replication",
        "use_qalora",
        "use_bdlora",
        "alora_invocation_tokens",
        "lora_bias",
    )
    tokens = ("trainable_token_indices",) if config.get("trainable_token_indices") else ()
    embeddings = {"embed_tokens", "word_embeddings", "wte"}
    return Traits(
        layers=tuple(sorted(set(layers))),
        rank=rank,
        same_scale=not ranks and all(one == alpha for one in alphas.values()),
        same_alpha=all(one == alpha for one in alphas.values()),
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        bias=config.get("bias", "none") != "none",
        whole=(*map(str, config.get("modules_to_save") or ()), *tokens),
        embedding=bool(embeddings.intersection(layers)),
        others=tuple(name for name in others if config.get(name)),
        family=family,
    )


def programs(adapter: Traits, folder: str = "FOLDER") -> tuple[Opens, ...]:
    """Return what vLLM, llama.cpp and TGI make of an adapter."""
    return vllm(adapter, folder), llama_cpp(adapter, folder), tgi(adapter, folder)


def vllm(adapter: Traits, folder: str = "FOLDER") -> Opens:
    """Return whether vLLM serves the adapter beside its base, and with which rank."""
    hindrance = _beside_pairs(adapter)
    if not hindrance and adapter.family in (*VLLM_WITHOUT_LORA, *TWO_STACKS):
        hindrance = f"it takes no adapters for {adapter.family}"
    if not hindrance and not adapter.same_scale:
        hindrance = "it scales every layer by one alpha / r, and this one has patterns of its own"
    allowed = vllm_rank(adapter.rank)
    if not hindrance and allowed is None:
        hindrance = f"it takes ranks up to {VLLM_RANKS[-1]}, and this one has {adapter.rank}"
    if hindrance:
        return Opens("vLLM", False, hindrance, MERGE.format(folder=folder))
    return Opens("vLLM", True, f"--max-lora-rank {allowed} or more")


def llama_cpp(adapter: Traits, folder: str = "FOLDER") -> Opens:
    """Return whether the adapter can be a GGUF file beside its base's."""
    hindrance = _beside_pairs(adapter)
    if not hindrance and adapter.family and adapter.family not in FAMILIES:
        hindrance = f"GGUF files are written here for {', '.join(FAMILIES)}, not {adapter.family}"
    if not hindrance and not adapter.same_alpha:
        hindrance = "its files have one alpha for all layers, and this one has several"
    if hindrance:
        return Opens("llama.cpp", False, hindrance, MERGE.format(folder=folder))
    return Opens(
        "llama.cpp", True, f"as GGUF: bactrian export gguf-adapter {folder} --to FILE.gguf"
    )


def tgi(adapter: Traits, folder: str = "FOLDER") -> Opens:
    """Return whether TGI, archived in March 2026, serves the adapter beside its base."""
    hindrance = _beside_pairs(adapter)
    beyond = sorted(set(adapter.layers) - TGI_LAYERS)
    if not hindrance and beyond:
        hindrance = f"it takes adapters of the attention and feed-forward, not of {beyond[0]}"
    if not hindrance and not adapter.same_scale:
        hindrance = "it scales every layer by one alpha / r, and this one has patterns of its own"
    if hindrance:
        return Opens("TGI", False, hindrance, MERGE.format(folder=folder))
    return Opens("TGI", True, "LORA_ADAPTERS=name=FOLDER (archived in 2026: vLLM is kept up)")


def _beside_pairs(adapter: Traits) -> str:
    """Return what the adapter is beside pairs of A and B, which other programs do not read."""
    if adapter.dora:
        return "it knows no DoRA"
    if adapter.whole:
        return f"it takes pairs of A and B alone, and {adapter.whole[0]} is kept whole here"
    if adapter.bias:
        return "it takes no biases"
    if adapter.embedding:
        return "it takes no LoRA of the embedding"
    if adapter.others:
        return f"it does not know {adapter.others[0]}"
    return ""
