"""Random models of two layers, one of each architecture whose head or attention is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

VOCABULARY = 300
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
COMMON = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", COMMON),
    "qwen2": ("Qwen2", COMMON),
    "qwen3": ("Qwen3", COMMON),
    "mistral": ("Mistral", {**COMMON, "sliding_window": 8}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}),
    "gemma2": ("Gemma2", {**COMMON, "sliding_window": 8, "final_logit_softcapping": 2.0}),
    "cohere": ("Cohere", {**COMMON, "logit_scale": 0.25}),
    "granite": ("Granite", {**COMMON, "logits_scaling": 8.0}),
    "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}),
}


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Any]:
    """Return a maker of fresh models in float32, the same weights at every call."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(name: str) -> Any:
        family, own = OWN[name]
        config = getattr(transformers, f"{family}Config")(**{**SMALL, **own})
        ending = "LMHeadModel" if name == "gpt2" else "ForCausalLM"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            model = getattr(transformers, family + ending)(config).eval()
            for weights in model.parameters():  # norms and biases count as well
                if weights.dim() == 1:
                    torch.nn.init.normal_(weights.data, 0.5, 0.3)
        return model

    return make


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of rows and tiles of vocabulary in a toy."""
    from bactrian.models.cross_entropy import rows, tiles

    monkeypatch.setattr(tiles, "ROWS", 16)
    monkeypatch.setattr(tiles, "UNIT", 8)
    monkeypatch.setattr(tiles, "COLUMNS", (256, 256))
    monkeypatch.setattr(rows, "BYTES", {"cpu": 2_571 * 4 * 7})
