"""Where LoRA layers go, how they begin, and that the base comes out as it went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.adapters import hushed
from bactrian.recipe import Lora
from bactrian.train.lora import (
    attention_projections,
    targets_of,
    with_lora,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

SIZES = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("ForCausalLM", {**WIDE, "intermediate_size": 64}),
    "GPTNeoX": ("ForCausalLM", {**WIDE, "intermediate_size": 64}),
    "OPT": ("ForCausalLM", {**WIDE, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "Bloom": ("ForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "GPT2": ("LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
    "T5": (
        "ForConditionalGeneration",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    ),
    "MT5": (
        "ForConditionalGeneration",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    ),
}
IDS = [[0, 5, 9, 40, 41, 42, 77]]
VARIANTS = ("lora", "rslora", "dora", "pissa")


@pytest.fixture
def make() -> Callable[[str], Any]:
    def make(name: str) -> Any:
        ending, own = MADE[name]
        config = getattr(transformers, f"{name}Config")(**SIZES, **own)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return getattr(transformers, name + ending)(config).eval()

    return make


def asked(model: Any) -> dict[str, Any]:
    ids = torch.tensor(IDS)
    answers = model.config.is_encoder_decoder
    return {"input_ids": ids} | ({"decoder_input_ids": ids} if answers else {})


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(**asked(model)).logits


def learn(model: Any, groups: list[dict[str, Any]] | None = None, steps: int = 3) -> None:
    """Take a few steps towards saying the same tokens."""
    learning = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(groups or [{"params": learning, "lr": 0.01, "weight_decay": 0.0}])
    for _ in range(steps):
        optimizer.zero_grad()
        model(**asked(model), labels=torch.tensor(IDS)).loss.backward()
        optimizer.step()


def tensors(model: Any, name: str = "default") -> dict[str, Any]:
    return {
        path.replace(f".{name}.", "."): weights.detach().clone()
        for path, weights in model.named_parameters()
        if f".{name}." in path
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama", ["q_proj", "k_proj", "v_proj", "o_proj"]),
        ("Bloom", ["query_key_value"]),
        ("OPT", ["q_proj", "k_proj", "v_proj", "out_proj"]),
        ("GPTNeoX", ["query_key_value"]),
        ("GPT2", ["c_attn"]),
        ("T5", ["q", "v"]),
        ("MT5", ["q", "v"]),
    ],
)
def test_adapters_go_into_the_attention(
    name: str, expected: list[str], make: Callable[[str], Any]
) -> None:
    model = make(name)
    before = logits(model)
    assert attention_projections(model) == expected
    with with_lora(model, Lora(rank=2, dropout=0.0)) as adapted:
        trainable = {path for path, weights in adapted.named_parameters() if weights.requires_grad}
        assert trainable
        assert all(any(f".{part}.lora_" in path for part in expected) for path in trainable)
        torch.testing.assert_close(logits(adapted), before, rtol=0, atol=0)
        learn(adapted)
        assert (logits(adapted) - before).abs().max() > 1e-3
    torch.testing.assert_close(logits(model), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", MADE)
def test_every_linear_layer_of_every_architecture_can_learn(
    name: str, make: Callable[[str], Any]
) -> None:
    model = make(name)
    head = model.get_output_embeddings()
    lora = Lora(rank=2, dropout=0.0, targets=("all-linear",))
    with with_lora(model, lora) as adapted:
        assert model.get_output_embeddings() is head
        learn(adapted)
        ups = [weights for path, weights in adapted.named_parameters() if "lora_B" in path]
        assert len(ups) > 5
        assert all(weights.any() for weights in ups)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (("all-linear",), {"q", "k", "v", "o", "gate", "up", "down"}),
        (("down_proj", "self_attn.q_proj"), {"down", "q"}),
        (("model.layers.0.mlp.up_proj",), {"up"}),
        (("embed_tokens", "v_proj"), {"embed", "v"}),
    ],
)
def test_targets_may_be_named(
    targets: tuple[str, ...], expected: set[str], make: Callable[[str], Any]
) -> None:
    with with_lora(make("Llama"), Lora(rank=2, targets=targets)) as adapted:
        learning = [path for path, weights in adapted.named_parameters() if weights.requires_grad]
        found = {path.partition(".lora_")[0].rpartition(".")[2].split("_")[0] for path in learning}
        assert found == expected
        assert not any("lm_head" in path for path in learning)


@pytest.mark.parametrize("targets", [("q_porj",), ("v_proj", "q_porj"), ("proj",), ("act_fn",)])
def test_targets_that_are_not_there_are_refused(
    targets: tuple[str, ...], make: Callable[[str], Any]
) -> None:
    """Each of them: PEFT is content where one of several fits."""
    lora = Lora(targets=targets)
    with pytest.raises(ConfigError, match=targets[-1]) as caught, with_lora(make("Llama"), lora):
        pass
    assert "q_proj" in caught.value.hint
    assert "all-linear" in caught.value.hint


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("broken", [True, False])
def test_the_base_comes_out_as_it_went_in(
    broken: bool, variant: Any, make: Callable[[str], Any]
) -> None:
    model = make("Llama").to(torch.bfloat16)
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    modules = [type(part) for part in model.modules()]

    def use() -> None:
        with with_lora(model, Lora(rank=2, variant=variant, dropout=0.0)) as adapted:
            learn(adapted)
            if broken:
                raise RuntimeError("in the middle")

    if broken:
        with pytest.raises(RuntimeError, match="in the middle"):
            use()
    else:
        use()
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], weights) for name, weights in before.items())
    assert [type(part) for part in model.modules()] == modules
    assert not hasattr(model, "peft_config")


def test_layers_that_were_put_in_before_peft_gave_up_are_taken_out(
    make: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraModel

    model, put = make("Llama"), LoraModel._create_and_replace

    def some(self: Any, *given: Any, current_key: str, **told: Any) -> None:
        if "layers.1" in current_key:
            raise ValueError("no more")
        put(self, *given, current_key=current_key, **told)

    monkeypatch.setattr(LoraModel, "_create_and_replace", some)
    with pytest.raises(ConfigError, match="no more"), with_lora(model, Lora(rank=2)):
        pass
    assert not any("lora" in path for path, _ in model.named_modules())
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["Llama", "GPT2", "T5"])
def test_every_variant_learns_and_is_a_folder_for_everyone(
    name: str, variant: Any, make: Callable[[str], Any], tmp_path: Path
) -> None:
    """PEFT alone loads it on the untouched base, and it gives the very logits of training."""
    model = make(name)
    before = logits(model)
    lora = Lora(rank=4, alpha=8, variant=variant, dropout=0.0)
    with with_lora(model, lora) as adapted:
        torch.testing.assert_close(logits(adapted), before, rtol=1e-4, atol=1e-5)
        learn(adapted)
        trained = logits(adapted)
        adapted.save_pretrained(tmp_path)
    assert (trained - before).abs().max() > 1e-3
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert told["init_lora_weights"] is True
    assert (told["use_rslora"], told["use_dora"]) == (variant == "rslora", variant == "dora")
    double = 2 if variant == "pissa" else 1
    assert (told["r"], told["lora_alpha"]) == (4 * double, 8 * double)
    assert told["task_type"] == ("SEQ_2_SEQ_LM" if name == "T5" else "CAUSAL_LM")
    with hushed():
        again = peft.PeftModel.from_pretrained(make(name), tmp_path).eval()
    torch.testing.assert_close(logits(again), trained, rtol=0, atol=0)


def test_rslora_scales_by_the_root_of_the_rank(make: Callable[[str], Any]) -> None:
    for variant, expected in (("lora", 8 / 16), ("rslora", 8 / 4)):
        lora = Lora.model_validate({"rank": 16, "alpha": 8, "variant": variant})
        with with_lora(make("Llama"), lora) as adapted:
            layer = adapted.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
            assert layer.scaling["default"] == pytest.approx(expected)


@pytest.mark.parametrize("training", [True, False])
def test_what_is_put_in_is_in_the_models_own_mode(
    training: bool, make: Callable[[str], Any]
) -> None:
    with with_lora(make("Llama").train(training), Lora(dropout=0.5)) as adapted:
        assert {part.training for part in adapted.modules()} == {training}


def test_gradients_reach_the_layers_through_checkpoints(make: Callable[[str], Any]) -> None:
    found = {}
    for checkpointing in (False, True):
        model = make("Llama")
        torch.manual_seed(1)
        with with_lora(model, Lora(rank=2, dropout=0.0), checkpointing=checkpointing) as adapted:
            adapted.train()
            adapted(**asked(adapted), labels=torch.tensor(IDS)).loss.backward()
            found[checkpointing] = {
                path: weights.grad.clone()
                for path, weights in adapted.named_parameters()
                if weights.grad is not None
            }
    assert found[True].keys() == found[False].keys()
    assert len(found[True]) == 16
    for path, gradient in found[False].items():
        torch.testing.assert_close(found[True][path], gradient, rtol=1e-5, atol=1e-7)
    assert not model.get_input_embeddings()._forward_hooks


def test_experts_that_are_no_layers_are_said() -> None:
    from bactrian.events import Event, reading

    told: list[str] = []

    class Said:
        def see(self, event: Event) -> None:
            told.append(event.facts["text"])

    config = transformers.MixtralConfig(
        **SIZES, **WIDE, intermediate_size=32, num_key_value_heads=4, num_local_experts=2
    )
    model = transformers.MixtralForCausalLM(config)
    with reading(Said()):
        found = targets_of(model, Lora(targets=("all-linear",)))
    assert found == ["k_proj", "o_proj", "q_proj", "v_proj"]
    assert len(told) == 1
    assert "experts" in told[0]
