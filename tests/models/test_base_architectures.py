"""Bases of each architecture are loaded whole, and those that are not whole are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models import base

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SMALL = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
WIDE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "opt (Galactica)": ("OPT", "ForCausalLM", {**WIDE, "ffn_dim": 32, "word_embed_proj_dim": 16}),
    "bloom (Bloomz)": ("Bloom", "ForCausalLM", {"hidden_size": 16, "n_layer": 1, "n_head": 2}),
    "llama": ("Llama", "ForCausalLM", {**WIDE, "intermediate_size": 32}),
    "gpt2": ("GPT2", "LMHeadModel", {"n_embd": 16, "n_layer": 1, "n_head": 2}),
    "gpt_neox": ("GPTNeoX", "ForCausalLM", {**WIDE, "intermediate_size": 32}),
    "t5 (Flan-T5)": ("T5", "ForConditionalGeneration", T5),
    "mt5": ("MT5", "ForConditionalGeneration", T5),
}


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "copy"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_is_loaded_whole(name: str, tiny_base: Path, tmp_path: Path) -> None:
    import transformers

    family, ending, own = ARCHITECTURES[name]
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **own})
    model = getattr(transformers, family + ending)(config).eval()
    model.save_pretrained(tmp_path)
    for path in tiny_base.glob("tokenizer*"):
        shutil.copy(path, tmp_path)
    loaded = base.load(str(tmp_path), dtype="float32")
    assert loaded.kind == ("encoder-decoder" if "T5" in family else "causal")
    assert type(loaded.model) is type(model)
    ids = torch.tensor([[0, 5, 9, 40]])
    asked = {"input_ids": ids} | ({"decoder_input_ids": ids} if "T5" in family else {})
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(**asked).logits, model(**asked).logits)


def test_a_base_that_lacks_weights_is_refused_and_not_made_up(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = copy / "model.safetensors"
    weights = load_file(path)
    del weights["lm_head.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"LlamaForCausalLM: lm_head\.weight is absent"):
        base.load(str(copy), dtype="float32")
    del weights["model.norm.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lm_head\.weight and 1 more are absent"):
        base.load(str(copy), dtype="float32")


def test_weights_of_other_sizes_are_a_users_error(copy: Path) -> None:
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 320', '"vocab_size": 330'))
    with pytest.raises(ConfigError, match=r"and 1 more are of another size than config\.json"):
        base.load(str(copy), dtype="float32")


def test_a_multimodal_base_is_refused_before_its_weights_are_read(copy: Path) -> None:
    import transformers

    transformers.Gemma3Config().save_pretrained(copy)
    with pytest.raises(ConfigError, match="is multimodal"):
        base.load(str(copy), dtype="float32")
