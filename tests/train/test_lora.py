"""Where LoRA layers go, and that the base comes out as it went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.recipe import Lora
from bactrian.train.lora import attention_projections, with_lora

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

SIZES = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
LLAMA = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
OLD = {"hidden_size": 32, "n_layer": 1, "n_head": 4}


@pytest.fixture
def make() -> Callable[[str], Any]:
    def make(name: str) -> Any:
        own = LLAMA if name in ("Llama", "GPTNeoX") else OLD
        if name == "GPT2":
            own = {"n_embd": 32, "n_layer": 1, "n_head": 4}
        config = getattr(transformers, f"{name}Config")(**SIZES, **own)
        config.num_hidden_layers = 1
        ending = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
        return getattr(transformers, name + ending)(config)

    return make


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama", ["q_proj", "k_proj", "v_proj", "o_proj"]),
        ("Bloom", ["query_key_value"]),
        ("GPT2", ["c_attn"]),
    ],
)
def test_adapters_go_into_the_attention(
    name: str, expected: list[str], make: Callable[[str], Any]
) -> None:
    model = make(name)
    assert attention_projections(model) == expected
    with with_lora(model, Lora(rank=2)) as adapted:
        trainable = {path for path, weights in adapted.named_parameters() if weights.requires_grad}
        assert trainable
        assert all(any(f".{part}.lora_" in path for part in expected) for path in trainable)


def test_a_base_of_unknown_names_asks_for_targets(make: Callable[[str], Any]) -> None:
    class Strange(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Linear(4, 4)

    with pytest.raises(ConfigError, match="Strange: no attention projections") as caught:
        attention_projections(Strange())
    assert caught.value.hint == "name train.lora.targets; linear layers are mix"


def test_targets_that_are_not_there_are_refused(make: Callable[[str], Any]) -> None:
    lora = Lora(targets=("q_porj",))
    with pytest.raises(ConfigError, match="q_porj"), with_lora(make("Llama"), lora):
        pass


@pytest.mark.parametrize("broken", [True, False])
def test_the_base_comes_out_as_it_went_in(broken: bool, make: Callable[[str], Any]) -> None:
    model = make("Llama").eval()
    before = {name: weights.clone() for name, weights in model.named_parameters()}

    def use() -> None:
        with with_lora(model, Lora(rank=2)) as adapted:
            for name, weights in adapted.named_parameters():
                if "lora_" in name:
                    torch.nn.init.ones_(weights)
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
