"""Bases in 8 and 4 bits: what is stored, that adapters learn on them, what stays as it is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, MissingExtra
from bactrian.events import Event, reading
from bactrian.models import base, quantize
from bactrian.models.quantize import BITS, PACKAGES, Quantize
from bactrian.recipe import Lora

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

WAYS: tuple[Quantize, ...] = ("int8", "nf4", "torchao-int8")
IDS = [[0, 5, 9, 40, 41, 42, 77, 100]]


def need(way: Quantize) -> None:
    if find_spec(PACKAGES[way]) is None:
        pytest.skip(f"{PACKAGES[way]} is not installed: pip install 'bactrian[quant]'")


@pytest.fixture(scope="module")
def wide_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama wide enough for blocks of 64 weights, with the tiny base's tokenizer."""
    folder = tmp_path_factory.mktemp("wide")
    config = transformers.LlamaConfig(
        vocab_size=320,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")  # of packages that are not ours to mend
def test_a_quantised_base_is_small_and_near_the_plain_one(wide_base: Path, way: Quantize) -> None:
    from peft.utils.integrations import dequantize_module_weight

    need(way)
    plain = base.load(str(wide_base), dtype="bfloat16")
    loaded = base.load(str(wide_base), dtype="bfloat16", quantize=way)
    assert (loaded.quantize, loaded.dtype) == (way, "bfloat16")
    assert loaded.precision == f"bfloat16+{way}"
    attention = loaded.model.model.layers[0].self_attn
    assert quantize.is_quantised(attention.q_proj.weight)
    assert not quantize.head_is_quantised(loaded.model)
    kinds = {weights.dtype for name, weights in loaded.model.named_parameters() if "norm" in name}
    assert kinds == {torch.bfloat16}, "norms stay as they are"
    assert not any(weights.requires_grad for weights in loaded.model.parameters())
    with torch.inference_mode():
        ids = torch.tensor(IDS, device=loaded.model.device)
        ours, theirs = loaded.model(ids).logits.float(), plain.model(ids).logits.float()
    assert 0 < float((ours - theirs).norm() / theirs.norm()) < (0.6 if BITS[way] == 4 else 0.05)
    weight = plain.model.model.layers[0].self_attn.q_proj.weight.float()
    stored = dequantize_module_weight(attention.q_proj).float()
    assert 0 < float((stored - weight).norm() / weight.norm()) < (0.12 if BITS[way] == 4 else 0.02)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_an_adapter_learns_on_it(wide_base: Path, way: Quantize, checkpointing: bool) -> None:
    from bactrian.train.lora import with_lora

    need(way)
    loaded = base.load(str(wide_base), dtype="bfloat16", quantize=way)
    ids = torch.tensor(IDS, device=loaded.model.device)
    losses = []
    with with_lora(loaded.model, Lora(rank=8, dropout=0.0), checkpointing=checkpointing) as model:
        model.train()
        learning = [weights for weights in model.parameters() if weights.requires_grad]
        assert {weights.dtype for weights in learning} == {torch.float32}
        steps = torch.optim.AdamW(learning, lr=0.01)
        for _ in range(8):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            losses.append(loss.item())
            steps.step()
            steps.zero_grad()
    assert losses[-1] < losses[0] - 0.2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_a_scoring_between_steps_leaves_the_gradients_as_they_are(
    wide_base: Path, way: Quantize
) -> None:
    from bactrian.train.lora import with_lora

    need(way)
    found: list[dict[str, Any]] = []
    for scored in (False, True):
        loaded = base.load(str(wide_base), dtype="bfloat16", quantize=way)
        ids = torch.tensor(IDS, device=loaded.model.device)
        torch.manual_seed(1)
        with with_lora(loaded.model, Lora(rank=4, dropout=0.0)) as model:
            for name, weights in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(weights, 0.0, 0.1)
            if scored:
                with torch.inference_mode():
                    model.eval()(input_ids=ids)
            model.train()(input_ids=ids, labels=ids).loss.backward()
            found.append({name: weights.grad for name, weights in model.named_parameters()})
    first, second = ({n: g for n, g in one.items() if g is not None} for one in found)
    assert len(first) == 16
    assert all(gradient.any() for gradient in first.values())
    for name, gradient in first.items():
        torch.testing.assert_close(second[name], gradient, rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_a_saved_adapter_comes_back_on_it(wide_base: Path, tmp_path: Path, way: Quantize) -> None:
    from bactrian.models import adapters
    from bactrian.train.lora import with_lora

    need(way)
    loaded = base.load(str(wide_base), dtype="bfloat16", quantize=way)
    ids = torch.tensor(IDS, device=loaded.model.device)
    with with_lora(loaded.model, Lora(rank=4, dropout=0.0)) as model:
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, 0.0, 0.1)
        with torch.inference_mode():
            expected = model(input_ids=ids).logits
        model.save_pretrained(tmp_path / "zh")
    attached = adapters.attach(loaded, {"zh": tmp_path / "zh"})
    with torch.inference_mode():
        torch.testing.assert_close(attached(input_ids=ids).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_pissa_begins_at_the_stored_weights(wide_base: Path, way: Quantize) -> None:
    """The base is not touched, so that quantised weights have singular values as others have."""
    from peft.utils.integrations import dequantize_module_weight

    from bactrian.train.lora import with_lora

    need(way)
    loaded = base.load(str(wide_base), dtype="bfloat16", quantize=way)
    weight = dequantize_module_weight(loaded.model.model.layers[0].self_attn.q_proj).float()
    left, values, right = torch.linalg.svd(weight.detach())
    with with_lora(loaded.model, Lora(rank=4, dropout=0.0, variant="pissa")) as model:
        layer = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        product = layer.scaling["default"] * up[:, :4] @ down[:4]
    largest = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
    torch.testing.assert_close(product, largest, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_an_absent_package_is_named(
    wide_base: Path, monkeypatch: pytest.MonkeyPatch, way: Quantize
) -> None:
    monkeypatch.setattr(quantize, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=PACKAGES[way]) as caught:
        base.load(str(wide_base), quantize=way)
    assert caught.value.hint == "pip install 'bactrian[quant]'"


def test_what_is_quantised_already_is_not_quantised_again() -> None:
    config = transformers.LlamaConfig()
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    assert quantize.stored_as(config) == "gptq"
    with pytest.raises(ConfigError, match=r"quantised already \(gptq\)"):
        quantize.settings("nf4", "bfloat16", config)
    assert quantize.settings("none", "bfloat16", config) is None
    assert quantize.stored_as(transformers.LlamaConfig()) == ""


class Params4bit(torch.nn.Parameter):  # type: ignore[misc, name-defined]
    """Called as bitsandbytes calls its own."""


@pytest.mark.parametrize("kind", [None, Params4bit])
def test_a_head_that_a_quantiser_replaced_is_told(kind: Any) -> None:
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )
    if kind is not None:
        model.lm_head.weight = kind(torch.zeros(8, 8))
    told: list[str] = []

    class Said:
        def see(self, event: Event) -> None:
            told.append(event.facts["text"])

    with reading(Said()):
        quantize.prepare(model)
    assert quantize.head_is_quantised(model) == (kind is not None)
    assert [text.startswith("the head is quantised too") for text in told] == [True] * len(told)
    assert len(told) == (kind is not None)
    assert not any(weights.requires_grad for weights in model.parameters())
