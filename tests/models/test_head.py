"""The head at chosen positions gives what the whole model gives there, in every architecture."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.events import Event, reading
from bactrian.models.head import Head, split

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

ARCHITECTURES = [
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "bloom",
    "gemma2",
    "cohere",
    "granite",
    "gpt2",
]


class Heard:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    @property
    def warnings(self) -> list[str]:
        return [event.facts["text"] for event in self.events if event.kind == "warning"]


def batch() -> tuple[Any, Any]:
    """Rows of 20 and 13 tokens, padded on the right, and some positions of both."""
    ids = torch.randint(2, 300, (2, 20), generator=torch.Generator().manual_seed(0))
    ids[1, 13:] = 0
    where = torch.zeros(2, 20, dtype=torch.bool)
    where[0, [0, 7, 19]] = True
    where[1, [5, 12]] = True
    return ids, where


def plain(model: Any, ids: Any, where: Any) -> Any:
    """What transformers gives, told which tokens are padding."""
    mask = (torch.arange(20) < torch.tensor([[20], [13]])).long()
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits[where].float()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_the_model(name: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(name)
    heard = Heard()
    with reading(heard):
        parts = split(model)
    assert parts.fast
    assert not heard.warnings
    ids, where = batch()
    with torch.inference_mode():
        found = parts.logits_at(ids, where)
    assert found.dtype == torch.float32
    assert found.shape == (5, 300)
    torch.testing.assert_close(found, plain(model, ids, where), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite"])
def test_the_scales_and_caps_are_there_to_be_missed(name: str, tiny: Callable[[str], Any]) -> None:
    """The three architectures really change their logits: without that the test above is empty."""
    parts = split(tiny(name))
    ids, where = batch()
    with torch.inference_mode():
        bare = Head(parts.head.linear, 1.0, None).logits(parts.hidden(ids)[where])
        assert (bare - parts.logits_at(ids, where)).abs().max() > 0.1


@pytest.mark.parametrize("disagreement", [1.5, float("nan")])
def test_where_the_fast_way_disagrees_the_plain_one_is_used_and_told(
    disagreement: float, tiny: Callable[[str], Any]
) -> None:
    model = tiny("llama")
    model.config.logit_scale = disagreement  # Llama does not apply it
    heard = Heard()
    with reading(heard):
        parts = split(model)
    assert not parts.fast
    assert len(heard.warnings) == 1
    assert "LlamaForCausalLM: the fast head differs" in heard.warnings[0]
    ids, where = batch()
    with torch.inference_mode():
        found = parts.logits_at(ids, where)
    torch.testing.assert_close(found, plain(model, ids, where), rtol=1e-5, atol=1e-5)


def test_an_adapter_inside_is_part_of_both_ways(tiny: Callable[[str], Any]) -> None:
    from peft import LoraConfig, get_peft_model

    from bactrian.models.adapters import hushed

    model = tiny("llama")
    ids, where = batch()
    before = plain(model, ids, where)
    with hushed():
        adapted = get_peft_model(
            model, LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        ).eval()
    parts = split(adapted)
    assert parts.fast
    with torch.inference_mode():
        found = parts.logits_at(ids, where)
    torch.testing.assert_close(found, plain(adapted, ids, where), rtol=1e-5, atol=1e-5)
    assert (found - before).abs().max() > 0.1


@pytest.mark.parametrize("training", [True, False])
def test_the_self_test_leaves_the_mode_as_it_was(
    training: bool, tiny: Callable[[str], Any]
) -> None:
    model = tiny("llama").train(training)
    split(model)
    assert model.training is training


def test_logits_of_half_precision_are_float32() -> None:
    linear = torch.nn.Linear(8, 20, bias=False, dtype=torch.bfloat16)
    found = Head(linear, 1.0, None).logits(torch.ones(3, 8, dtype=torch.bfloat16))
    assert found.dtype == torch.float32


def test_a_text_model_inside_a_larger_configuration_is_found(tiny: Callable[[str], Any]) -> None:
    model = tiny("cohere")
    text = model.config
    model.config.get_text_config = lambda: SimpleNamespace(logit_scale=text.logit_scale)
    assert split(model).head.scale == 0.25
