"""The models of the evaluation bench: random weights in the shapes that matter, and adapters.

Weights spread wide (0.04), so that log-likelihoods differ and a slip in a mask would show. At 0.06
an option has up to 500 nats, and float32's own noise, of either engine, reaches 1e-4 of them. Knows
nothing of questions or clocks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.evaluation.suites import DATA

LLAMA = {
    "vocab_size": 32_000,
    "hidden_size": 512,
    "intermediate_size": 1344,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""57.7 million parameters, 24.9 of them in the layers."""
BLOOM = {"vocab_size": 250_880, "hidden_size": 512, "n_layer": 8, "n_head": 8}
COMMON = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "initializer_range": 0.04}
RANK = 64


def model(name: str) -> Any:
    """Return a fresh model in float32, the same weights at every call."""
    import torch
    from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if name == "bloom":
        return BloomForCausalLM(BloomConfig(**COMMON, **BLOOM)).eval()
    return LlamaForCausalLM(LlamaConfig(**COMMON, **LLAMA)).eval()


def folder(name: str, work: Path) -> Path:
    """Return a folder with model and tokenizer in transformers' format, made once."""
    from transformers import AutoTokenizer

    path = work / "models" / name
    if not (path / "whole").is_file():
        model(name).save_pretrained(path)
        AutoTokenizer.from_pretrained(DATA / "tokenizers" / "llama").save_pretrained(path)
        (path / "whole").touch()
    return path


def adapters(work: Path, count: int) -> list[Path]:
    """Return folders of LoRA adapters of the LLaMA-like model, made once."""
    import torch
    from peft import LoraConfig, get_peft_model

    paths = [work / "adapters" / str(number) for number in range(count)]
    for number, path in enumerate(paths):
        if (path / "adapter_config.json").is_file():
            continue
        told = LoraConfig(
            r=RANK,
            lora_alpha=16,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
            task_type="CAUSAL_LM",
        )
        adapted = get_peft_model(model("llama"), told)
        torch.manual_seed(100 + number)
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights.data, std=0.05)
        adapted.save_pretrained(path)
    return paths
