"""Random models of two layers with tokenizers trained on the spot, as folders for llama.cpp."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
BLOOM: dict[str, Any] = {
    "hidden_size": 96,
    "n_layer": 2,
    "n_head": 6,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 256,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {**COMMON, "tie_word_embeddings": True}),
    "llama, biases, own head": ("Llama", {**COMMON, "attention_bias": True, "mlp_bias": True}),
    "llama, wide heads": ("Llama", {**COMMON, "head_dim": 32}),
    "llama 3.1": ("Llama", {**COMMON, "rope_parameters": LLAMA3_ROPE}),
    "llama, yarn": ("Llama", {**COMMON, "rope_parameters": YARN_ROPE}),
    "llama, linear": ("Llama", {**COMMON, "rope_parameters": LINEAR_ROPE}),
    "mistral": ("Mistral", {**COMMON, "sliding_window": 64}),
    "qwen2": ("Qwen2", {**COMMON, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3", COMMON),
    "bloom": ("Bloom", BLOOM),
}
SPECIAL = ["<unk>", "<s>", "</s>"]
BLOOM_CUTS = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def by_pieces(lines: Iterable[str]) -> Any:
    """Train SentencePiece-like BPE with a fallback to bytes: LLaMA's kind, without its file."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def made(split: bool) -> Any:
        inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        inner.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=split)
        return inner

    trained, inner = made(True), made(False)
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=1400, special_tokens=special, limit_alphabet=600, show_progress=False
    )
    trained.train_from_iterator(lines, trainer)
    told, learnt = json.loads(inner.to_str()), json.loads(trained.to_str())
    told["model"] = learnt["model"]
    told["added_tokens"] = learnt["added_tokens"][: len(SPECIAL)]
    inner = Tokenizer.from_str(json.dumps(told))
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def by_bytes(lines: Iterable[str], *cuts: Any, whole_words: bool = False, size: int = 900) -> Any:
    """Train byte-level BPE; ``cuts`` come before the bytes, BLOOM's where none are named."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    before = cuts or (pre_tokenizers.Split(Regex(BLOOM_CUTS), "isolated"),)
    plain = not any(type(one).__name__ == "Split" for one in before)
    inner = Tokenizer(models.BPE(ignore_merges=whole_words))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=plain)]
    )
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[*SPECIAL, "<pad>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def model_of(name: str, rows: int, **own: Any) -> Any:
    """Return a random model of ``OWN``, norms and biases far from where they begin."""
    import torch
    import transformers

    family, settings = OWN[name]
    config = getattr(transformers, f"{family}Config")(**{**settings, "vocab_size": rows, **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
        for weights in model.parameters():
            if weights.dim() == 1:
                torch.nn.init.normal_(weights.data, 0.7, 0.3)
    return model


def saved(folder: Path, name: str, tokenizer: Any, **own: Any) -> Path:
    """Write a model of ``OWN`` and its tokenizer; the embedding has some rows more than ids."""
    model_of(name, len(tokenizer) + 5, **own).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def adapter_on(
    base: Path, folder: Path, change: Callable[[Any], None] | None = None, **lora: Any
) -> Path:
    """Write a LoRA whose every B is random; ``change`` may do more to the PEFT model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from bactrian.models.adapters import hushed

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    told = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    with hushed(), torch.random.fork_rng(devices=[]):
        for idle in ("Model has `tie_word_embeddings=True`", "Setting `save_embedding_layers`"):
            warnings.filterwarnings("ignore", idle, UserWarning)
        torch.manual_seed(3)
        adapted = get_peft_model(model, LoraConfig(**{**told, **lora}))
        for name, weights in adapted.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                torch.nn.init.normal_(weights.data, 0.0, 0.1)
        if change is not None:
            change(adapted)
        adapted.save_pretrained(folder)
    return folder
