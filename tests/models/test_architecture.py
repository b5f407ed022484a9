"""What kind of model each architecture is, and which of its layers get an adapter."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.architecture import (
    all_linear,
    attention_projections,
    has_fused_experts,
    kind_of,
    linear_layers,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 60, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
WIDE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
OPT = {"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
T5 |= {"decoder_start_token_id": 0}
OLD = {"hidden_size": 16, "n_layer": 2, "n_head": 2}
MADE: dict[str, tuple[str, str, dict[str, Any]]] = {
    # name: family, ending of the class, configuration
    "llama": ("Llama", "ForCausalLM", WIDE),
    "bloom": ("Bloom", "ForCausalLM", OLD),
    "opt": ("OPT", "ForCausalLM", {**OPT, "word_embed_proj_dim": 8}),
    "gpt_neox": ("GPTNeoX", "ForCausalLM", WIDE),
    "gpt2": ("GPT2", "LMHeadModel", {"n_embd": 16, "n_layer": 2, "n_head": 2}),
    "phi3": ("Phi3", "ForCausalLM", WIDE),
    "mixtral": ("Mixtral", "ForCausalLM", {**WIDE, "num_local_experts": 2}),
    "t5": ("T5", "ForConditionalGeneration", {**T5, "feed_forward_proj": "gated-gelu"}),
    "mt5": ("MT5", "ForConditionalGeneration", T5),
}
EXPECTED = {
    # name: kind, attention projections, all linear layers, their number with two layers
    "llama": (
        "causal",
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
        14,
    ),
    "bloom": (
        "causal",
        ["query_key_value"],
        ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"],
        8,
    ),
    "opt": (
        "causal",
        ["q_proj", "k_proj", "v_proj", "out_proj"],
        ["fc1", "fc2", "k_proj", "out_proj", "project_in", "project_out", "q_proj", "v_proj"],
        14,
    ),
    "gpt_neox": (
        "causal",
        ["query_key_value"],
        ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"],
        8,
    ),
    "gpt2": ("causal", ["c_attn"], ["c_attn", "c_fc", "c_proj"], 8),
    "phi3": (
        "causal",
        ["qkv_proj", "o_proj"],
        ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"],
        8,
    ),
    "mixtral": (
        "causal",
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        ["k_proj", "o_proj", "q_proj", "v_proj"],
        8,
    ),
    "t5": ("encoder-decoder", ["q", "v"], ["k", "o", "q", "v", "wi_0", "wi_1", "wo"], 36),
    "mt5": (
        "encoder-decoder",
        ["q", "v"],
        ["k", "o", "q", "v", "wi_0", "wi_1", "wo"],
        36,
    ),
}


def made(name: str) -> Any:
    family, ending, own = MADE[name]
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **own})
    return getattr(transformers, family + ending)(config)


@pytest.mark.parametrize("name", MADE)
def test_each_architecture_is_known_by_its_layers(name: str) -> None:
    model = made(name)
    kind, attention, linear, layers = EXPECTED[name]
    assert kind_of(model.config, "x") == kind
    assert attention_projections(model) == attention
    assert all_linear(model) == linear
    head = model.get_output_embeddings()
    fitting = [
        part
        for path, part in linear_layers(model).items()
        if path.rpartition(".")[2] in linear and part is not head
    ]
    assert len(fitting) == layers
    assert has_fused_experts(model) == (name == "mixtral")


def test_a_layer_with_the_heads_own_name_is_told_apart() -> None:
    model = made("llama")
    model.model.layers[0].mlp.add_module("lm_head", torch.nn.Linear(4, 4))
    found = all_linear(model)
    assert "lm_head" not in found
    assert "model.layers.0.mlp.lm_head" in found
    assert len(found) == 15


def test_layers_under_an_adapter_keep_their_names() -> None:
    peft = pytest.importorskip("peft")
    from bactrian.models.adapters import hushed

    model = made("llama")
    before = list(linear_layers(model))
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"])
    with hushed():
        peft.get_peft_model(model, config)
    assert list(linear_layers(model)) == before
    assert attention_projections(model) == EXPECTED["llama"][1]
    assert all_linear(model) == EXPECTED["llama"][2]


def test_a_base_of_unknown_names_asks_for_targets() -> None:
    class Strange(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Linear(4, 4)

    with pytest.raises(ConfigError, match="Strange: no attention projections") as caught:
        attention_projections(Strange())
    assert caught.value.hint == "name train.lora.targets, or all-linear; linear layers are mix"


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("Gemma3", r"base x \(gemma3\) is multimodal: it has vision_config beside"),
        ("Llava", r"base x \(llava\) is multimodal"),
        ("Bert", r"base x \(bert\) reads its text in both directions"),
        ("XLMRoberta", r"base x \(xlm-roberta\) reads its text in both directions"),
        ("Whisper", r"base x \(whisper\) is no model that transformers can write text with"),
        ("ViT", r"base x \(vit\) is no model that transformers can write text with"),
    ],
)
def test_models_of_other_kinds_are_refused_by_name(family: str, said: str) -> None:
    config = getattr(transformers, f"{family}Config")()
    with pytest.raises(ConfigError, match=said) as caught:
        kind_of(config, "x")
    assert caught.value.hint.startswith("name a ")


def test_a_bert_that_was_made_a_decoder_is_one() -> None:
    assert kind_of(transformers.BertConfig(is_decoder=True), "x") == "causal"


def test_the_text_part_of_a_multimodal_family_is_a_base() -> None:
    assert kind_of(transformers.Gemma3TextConfig(), "x") == "causal"
