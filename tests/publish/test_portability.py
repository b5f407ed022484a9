"""Who opens an adapter, why another does not, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.publish.portability import Opens, programs, traits

LAYERS = ("q_proj", "v_proj")


def of(
    family: str = "llama", layers: tuple[str, ...] = LAYERS, rank: int = 16, **config: Any
) -> Any:
    told = {"r": rank, "lora_alpha": 16, "bias": "none", **config}
    return {one.program: one for one in programs(traits(told, layers, rank, family), "DIR")}


def opening(found: dict[str, Opens]) -> set[str]:
    return {name for name, one in found.items() if one.opens}


ALL = {"vLLM", "llama.cpp", "TGI"}


@pytest.mark.parametrize(
    ("config", "opens", "why"),
    [
        ({}, ALL, ""),
        ({"use_rslora": True}, ALL, ""),
        ({"modules_to_save": [], "rank_pattern": {}, "alpha_pattern": {"q_proj": 16}}, ALL, ""),
        ({"use_dora": True}, set(), "knows no DoRA"),
        ({"modules_to_save": ["lm_head"]}, set(), "lm_head is kept whole"),
        ({"trainable_token_indices": [5]}, set(), "trainable_token_indices is kept whole"),
        ({"bias": "lora_only"}, set(), "takes no biases"),
        ({"target_parameters": ["experts.gate"]}, set(), "does not know target_parameters"),
        ({"layer_replication": [[0, 2]]}, set(), "does not know layer_replication"),
        ({"rank_pattern": {"q_proj": 4}}, {"llama.cpp"}, "one alpha / r"),
        ({"alpha_pattern": {"q_proj": 4}}, set(), "one alpha"),
        ({"layers": ("q_proj", "embed_tokens")}, set(), "no LoRA of the embedding"),
        ({"layers": ("query_key_value",), "family": "bloom"}, {"llama.cpp"}, "adapters for bloom"),
        ({"layers": ("c_attn",), "family": "gpt2"}, set(), "written here for llama, mistral,"),
        ({"layers": ("q", "v"), "family": "mt5"}, set(), "adapters for mt5"),
        ({"rank": 513}, {"llama.cpp", "TGI"}, "ranks up to 512, and this one has 513"),
    ],
)
def test_each_program_takes_what_its_documentation_says(
    config: dict[str, Any], opens: set[str], why: str
) -> None:
    found = of(**config)
    assert opening(found) == opens
    refused = [one for one in found.values() if not one.opens]
    assert all(one.do.startswith("merge it") and "DIR" in one.do for one in refused)
    assert not why or any(why in one.why for one in refused)


@pytest.mark.parametrize(("rank", "allowed"), [(1, 8), (8, 8), (9, 16), (64, 64), (257, 320)])
def test_vllm_is_told_the_next_rank_that_it_allows(rank: int, allowed: int) -> None:
    assert of(rank=rank)["vLLM"].why == f"--max-lora-rank {allowed} or more"
