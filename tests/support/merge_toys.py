"""Tiny bases of several architectures, PEFT adapters on them, and both as a source to export."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from bactrian.models import adapters
from bactrian.publish.source import Source, open_source

COMMON = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 320}
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
OLD = {"n_layer": 2, "n_head": 4, "initializer_range": 0.2}
T5 = {"d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8}
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", LLAMA),
    "tied": ("LlamaConfig", "LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}),
    "bloom": ("BloomConfig", "BloomForCausalLM", {"hidden_size": 32, **OLD}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_embd": 32, "n_positions": 256, **OLD}),
    "mixtral": (
        "MixtralConfig",
        "MixtralForCausalLM",
        {**LLAMA, "num_local_experts": 3, "num_experts_per_tok": 2},
    ),
    "t5": ("T5Config", "T5ForConditionalGeneration", {**T5, "decoder_start_token_id": 1}),
}


def write_base(folder: Path, family: str, tokenizer: Path) -> Path:
    """Write a random model of a family with the tokenizer of the folder ``tokenizer``."""
    config, model, own = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        made = getattr(transformers, model)(getattr(transformers, config)(**COMMON, **own))
        for weights in made.parameters():  # norms and biases count as well
            if weights.dim() == 1:
                torch.nn.init.normal_(weights.data, 0.5, 0.3)
    made.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    return folder


def load(folder: Path) -> Any:
    """Return the model of a folder in float32."""
    encoder_decoder = (folder / "config.json").read_text().find('"is_encoder_decoder": true') > 0
    family = "AutoModelForSeq2SeqLM" if encoder_decoder else "AutoModelForCausalLM"
    auto = getattr(transformers, family)
    return auto.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()


def adapted(base: Path, seed: int = 1, **config: Any) -> Any:
    """Return a PEFT model of the base whose adapter does something."""
    import peft

    model = load(base)
    torch.manual_seed(seed)
    task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    told = {"task_type": task, "r": 4, "lora_alpha": 8, **config}
    with quietly():
        made = peft.get_peft_model(model, peft.LoraConfig(**told)).eval()
    for name, weights in made.named_parameters():
        if "lora_" in name and "original" not in name:
            torch.nn.init.normal_(weights, 0.0, 0.2)
            if "magnitude" in name:
                weights.data.abs_().add_(0.5)
        elif weights.requires_grad:
            weights.data.add_(torch.randn_like(weights), alpha=0.1)
    return made


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what PEFT warns of from failing a test: deprecations, tied layers, saved embeddings."""
    with adapters.hushed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def save(model: Any, folder: Path, base: Path) -> Path:
    """Write the adapter of a PEFT model as PEFT does, naming its base."""
    with quietly():
        model.peft_config["default"].base_model_name_or_path = str(base)
        model.save_pretrained(folder)
    return folder


def adapter(folder: Path, base: Path, seed: int = 1, **config: Any) -> Path:
    """Write an adapter of ``config`` on the base."""
    return save(adapted(base, seed, **config), folder, base)


def source(*folders: Path, shares: tuple[float, ...] = ()) -> Source:
    """Return the adapters as a source, each taken whole or at its share."""
    parts = shares or (1.0,) * len(folders)
    return open_source(dict(zip(folders, parts, strict=True)))
