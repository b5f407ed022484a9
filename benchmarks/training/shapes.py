"""The models, rows and adapter that every contender of the training bench is given.

Runs in the peers' environments too and so imports nothing of this project. Random weights are as
fast as trained ones; what counts is the shape. Knows nothing of clocks or contenders.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MAX_TOKENS = 768
RANK = 16
ALPHA = 16
LEARNING_RATE = 3e-4
ROWS = 3000
PAD, BOS, EOS, FIRST = 0, 1, 2, 8
"""Special tokens; ordinary ones begin at ``FIRST``."""


@dataclass(frozen=True)
class Linear:
    """One linear layer of a block."""

    inputs: int
    outputs: int
    adapted: bool = False
    """Whether LoRA sits on it."""

    @property
    def parameters(self) -> int:
        """Weights, without a bias."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Shape:
    """A model by its sizes."""

    family: str
    width: int
    inner: int
    layers: int
    heads: int
    vocabulary: int
    targets: tuple[str, ...]
    """Modules that get an adapter."""

    @property
    def block(self) -> tuple[Linear, ...]:
        """The linear layers of one block."""
        wide = Linear(self.width, self.width, adapted=True)
        if self.family == "bloom":
            attention = Linear(self.width, 3 * self.width, adapted=True), wide
            return *attention, Linear(self.width, self.inner), Linear(self.inner, self.width)
        gate = Linear(self.width, self.inner)
        return wide, wide, wide, wide, gate, gate, Linear(self.inner, self.width)

    def lora_parameters(self, rank: int) -> int:
        """Trained weights of an adapter."""
        adapted = [linear for linear in self.block if linear.adapted]
        return self.layers * sum(rank * (linear.inputs + linear.outputs) for linear in adapted)


LLAMA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
BLOOM_TARGETS = ("query_key_value", "self_attention.dense")
SHAPES = {
    "toy": Shape("llama", 128, 344, 4, 4, 8_000, LLAMA_TARGETS),
    "llama": Shape("llama", 256, 688, 6, 4, 32_000, LLAMA_TARGETS),
    "bloom": Shape("bloom", 256, 1024, 6, 4, 250_880, BLOOM_TARGETS),
    "llama-7b": Shape("llama", 4096, 11_008, 32, 32, 32_000, LLAMA_TARGETS),
    "bloom-7b1": Shape("bloom", 4096, 16_384, 30, 32, 250_880, BLOOM_TARGETS),
}
"""One for many adapters, two for two cores, and the two models of the original for a GPU."""


@dataclass(frozen=True)
class Row:
    """One example as token ids, int32 [tokens], of which ``prompt`` carry no loss."""

    ids: np.ndarray[Any, Any]
    prompt: int

    @property
    def response(self) -> int:
        """Tokens with a loss."""
        return len(self.ids) - self.prompt


def rows(vocabulary: int, count: int = ROWS, seed: int = 0) -> list[Row]:
    """Return rows of random tokens with the lengths of Li et al. 2023, Table 1.

    Prompts of 45 and responses of 134 tokens on average (mBART-50's tokens), both log-normal, cut
    to 768 together; tokens by Zipf's law, so that embeddings and targets repeat as words do.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    prompts = _lengths(chance, 45.0, 0.8, count).clip(8, 500)
    responses = np.minimum(_lengths(chance, 134.0, 1.0, count).clip(2, None), MAX_TOKENS - prompts)
    share = (1.0 / np.arange(1, vocabulary - FIRST) ** 1.05).cumsum()
    chance = np.random.default_rng(seed + 1)
    found = []
    for prompt, response in zip(prompts.tolist(), responses.tolist(), strict=True):
        drawn = np.searchsorted(share / share[-1], chance.random(prompt + response))
        ids = (drawn + FIRST).clip(FIRST, vocabulary - 1).astype(np.int32)
        ids[0], ids[-1] = BOS, EOS
        found.append(Row(ids, prompt))
    return found


def _lengths(chance: Any, mean: float, sigma: float, count: int) -> Any:
    """Draw whole lengths, log-normal, of this mean."""
    import numpy as np

    drawn = np.exp(chance.normal(math.log(mean) - sigma**2 / 2, sigma, count))
    return drawn.round().astype(np.int64)


def stratified(costs: list[int], count: int, warm: int, seed: int = 0) -> list[int]:
    """Return which batches of an epoch are run, the first ``warm`` of them not timed.

    The first is the costliest, whose memory is the epoch's peak. The timed ones stand for the
    epoch: sorted by cost and cut into ``count`` strata, the middle of each, in random order.
    """
    import numpy as np

    by_cost = sorted(range(len(costs)), key=lambda batch: (costs[batch], batch))
    count = min(count, len(by_cost))
    middles = [int((place + 0.5) * len(by_cost) / count) for place in range(count)]
    chosen = np.random.default_rng(seed).permutation([by_cost[middle] for middle in middles])
    timed = [int(batch) for batch in chosen]
    return [*[by_cost[-1], *timed][:warm], *timed]


def model(name: str, device: str = "cpu") -> Any:
    """Return the causal model in bfloat16, the same weights at every call, without an adapter."""
    import torch
    from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

    shape = SHAPES[name]
    special = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "use_cache": False}
    if shape.family == "bloom":
        config, kind = BloomConfig(**special, **_bloom_sizes(shape)), BloomForCausalLM
    else:
        config, kind = LlamaConfig(**special, **_llama_sizes(shape)), LlamaForCausalLM
    torch.manual_seed(0)
    if device == "cpu":
        return kind(config).to(torch.bfloat16)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return kind(config)
    finally:
        torch.set_default_dtype(before)


def _llama_sizes(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    }


def _bloom_sizes(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "vocab_size": shape.vocabulary,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
    }


def lora(name: str, rank: int = RANK) -> Any:
    """Return PEFT's configuration of the adapter; no dropout, so that all do the same work."""
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=ALPHA,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=list(SHAPES[name].targets),
    )


def tokenizer() -> Any:
    """Return the tokenizer that the peers' collators ask for; it is never given a text."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": PAD, "<s>": BOS, "</s>": EOS, "<unk>": 3}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def folder(name: str, work: Path) -> Path:
    """Return a folder with model and tokenizer in transformers' format, made once."""
    path = work / "models" / name
    if not (path / "whole").is_file():
        model(name).save_pretrained(path)
        tokenizer().save_pretrained(path)
        (path / "whole").write_text(json.dumps(name), encoding="utf-8")
    return path
