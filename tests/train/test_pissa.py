"""PiSSA trains what the method says, and leaves a plain LoRA for the untouched base."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.adapters import hushed
from bactrian.recipe import Lora
from bactrian.train import lora as loras
from bactrian.train.lora import parameter_groups, with_lora

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from bactrian.train import pissa  # noqa: E402

IDS = torch.tensor([[0, 5, 9, 40, 41, 42, 77], [0, 9, 9, 4, 1, 2, 7]])
PISSA = Lora(rank=4, alpha=8, dropout=0.0, variant="pissa")


def made(dtype: Any = torch.float32, **own: Any) -> Any:
    config = transformers.LlamaConfig(
        **{
            "vocab_size": 300,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "initializer_range": 0.2,
            **own,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return transformers.LlamaForCausalLM(config).to(dtype).eval()


def learn(model: Any, groups: list[dict[str, Any]], steps: int = 5) -> list[float]:
    optimizer, losses = torch.optim.AdamW(groups), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_it_is_the_training_that_peft_does_on_a_changed_base() -> None:
    """The same losses and the same model after some steps as by PEFT's own way."""
    with with_lora(made(), PISSA) as ours:
        found = learn(ours, parameter_groups(ours, PISSA, 0.01))
        logits = ours(input_ids=IDS).logits
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        lora_alpha=8,
        lora_dropout=0.0,
        init_lora_weights="pissa",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
    )
    with hushed():
        theirs = peft.get_peft_model(made(), config).eval()
    learning = [weights for weights in theirs.parameters() if weights.requires_grad]
    expected = learn(theirs, [{"params": learning, "lr": 0.01, "weight_decay": 0.0}])
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[-1] < found[0] - 0.1
    torch.testing.assert_close(logits, theirs(input_ids=IDS).logits, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_begins_at_the_base_itself(dtype: Any) -> None:
    model = made(dtype)
    with torch.inference_mode():
        before = model(input_ids=IDS).logits.float()
        with with_lora(model, PISSA) as adapted:
            after = adapted(input_ids=IDS).logits.float()
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4 if dtype == torch.float32 else 0.05)


def test_the_first_half_is_the_largest_part_of_the_weight() -> None:
    model = made()
    weight = model.model.layers[0].self_attn.q_proj.weight.detach().clone()
    left, values, right = torch.linalg.svd(weight)
    with with_lora(model, PISSA) as adapted:
        layer = adapted.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        product = layer.scaling["default"] * up[:, :4] @ down[:4]
        assert (down.shape, up.shape) == ((8, 32), (32, 8))
        assert torch.equal(down[:4], down[4:])
        assert torch.equal(up[:, :4], -up[:, 4:])
    largest = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
    torch.testing.assert_close(product, largest, rtol=1e-4, atol=1e-5)


def test_the_fast_decomposition_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    spectrum = torch.diag(0.9 ** torch.arange(80.0))
    left, right = torch.linalg.qr(torch.randn(96, 80))[0], torch.linalg.qr(torch.randn(80, 80))[0]
    weight = left @ spectrum @ right.T
    exact = pissa._largest(weight, 8)
    monkeypatch.setattr(pissa, "EXACT", 1)
    fast = pissa._largest(weight, 8)
    for ours in (exact, fast):
        assert [tuple(part.shape) for part in ours] == [(96, 8), (8,), (8, 80)]
    torch.testing.assert_close(fast[1], exact[1], rtol=1e-3, atol=1e-5)
    product = [one[0] @ torch.diag(one[1]) @ one[2] for one in (exact, fast)]
    torch.testing.assert_close(product[1], product[0], rtol=0, atol=1e-3)


def test_the_held_half_stays_to_the_last_bit() -> None:
    with with_lora(made(), PISSA) as adapted:
        layer = adapted.get_submodule("base_model.model.model.layers.1.self_attn.v_proj")
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        before = (down[4:].clone(), up[:, 4:].clone(), down[:4].clone(), up[:, :4].clone())
        learn(adapted, parameter_groups(adapted, PISSA, 0.01, weight_decay=0.1))
        assert torch.equal(down[4:], before[0])
        assert torch.equal(up[:, 4:], before[1])
        assert not torch.equal(down[:4], before[2])
        assert not torch.equal(up[:, :4], before[3])


def test_a_held_half_that_moved_is_found_out() -> None:
    said = pytest.raises(RuntimeError, match="the held half of a PiSSA adapter moved")
    with said, with_lora(made(), PISSA) as adapted:
        learning = [weights for weights in adapted.parameters() if weights.requires_grad]
        learn(adapted, [{"params": learning, "lr": 0.01, "weight_decay": 0.5}])


def test_a_rank_beyond_the_layers_sides_is_refused() -> None:
    model = made()
    said = pytest.raises(ConfigError, match=r"rank = 33 .* singular values \(32\)")
    with said, with_lora(model, Lora(rank=33, variant="pissa")):
        pass
    assert not any("lora" in path for path, _ in model.named_modules())


def test_a_layer_that_lies_the_other_way_round_is_turned() -> None:
    config = transformers.GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=4)
    model = transformers.GPT2LMHeadModel(config).eval()
    weight = model.transformer.h[0].attn.c_attn.weight.detach().clone()
    assert weight.shape == (32, 96)
    left, values, right = torch.linalg.svd(weight.T, full_matrices=False)
    with with_lora(model, PISSA) as adapted:
        ((_, layer),) = loras._tuned(adapted)
        product = (
            layer.scaling["default"]
            * layer.lora_B["default"].weight[:, :4]
            @ layer.lora_A["default"].weight[:4]
        )
    largest = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
    torch.testing.assert_close(product, largest, rtol=1e-4, atol=1e-6)
