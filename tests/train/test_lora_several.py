"""Several adapters in one base, each as it would be alone; and the rates that they learn at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.adapters import hushed
from bactrian.recipe import Lora
from bactrian.train.lora import EMBEDDING_RATE, Alone, parameter_groups, with_lora

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

IDS = torch.tensor([[0, 5, 9, 40, 41, 42, 77]])
VARIANTS = ("lora", "rslora", "dora", "pissa")


def made() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return transformers.LlamaForCausalLM(config).eval()


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def learn(model: Any, steps: int) -> None:
    learning = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()


def tensors(model: Any, name: str = "default") -> dict[str, Any]:
    return {
        path.replace(f".{name}.", "."): weights.detach().clone()
        for path, weights in model.named_parameters()
        if f".{name}." in path
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_begins_beside_others_as_it_would_alone(variant: Any) -> None:
    told = {
        "zh": (Lora(rank=4, variant=variant), 3),
        "vi": (Lora(rank=2, targets=("q_proj", "down_proj")), 4),
        "km": (Lora(rank=4, variant=variant), 3),
        "or": (Lora(rank=4, variant=variant), 5),
    }
    alone = {}
    for name, one in told.items():
        with with_lora(made(), {name: one}) as adapted:
            alone[name] = tensors(adapted, name)
    state = torch.get_rng_state()
    with with_lora(made(), told) as adapted:
        assert torch.equal(torch.get_rng_state(), state), "the training's own draws are untouched"
        assert adapted.active_adapters == ["zh"]
        for name, expected in alone.items():
            found = tensors(adapted, name)
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[path], weights) for path, weights in expected.items())
            assert all(
                weights.requires_grad
                for path, weights in adapted.named_parameters()
                if f".{name}." in path
            )
    assert all(torch.equal(alone["zh"][path], weights) for path, weights in alone["km"].items())
    same = [torch.equal(alone["zh"][path], alone["or"][path]) for path in alone["zh"]]
    assert all(same) == (variant == "pissa"), "of which nothing is drawn for small layers"


def test_an_adapter_of_many_begins_as_a_single_one() -> None:
    torch.manual_seed(9)
    with with_lora(made(), Lora(rank=4)) as adapted:
        expected = tensors(adapted)
    with with_lora(made(), {"zh": (Lora(rank=4), 9)}) as adapted:
        found = tensors(adapted, "zh")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[path], weights) for path, weights in expected.items())


@pytest.mark.parametrize("names", [("zh", "vi"), ("default",)])
def test_one_of_several_is_saved_by_itself(names: tuple[str, ...], tmp_path: Path) -> None:
    lora = Lora(rank=2, dropout=0.5)
    with with_lora(made(), dict.fromkeys(names, (lora, 1))) as adapted:
        expected = {}
        for name in names:
            adapted.set_adapter(name)
            learn(adapted, steps=1 + names.index(name))
            expected[name] = logits(adapted)
            Alone(adapted, name).save_pretrained(tmp_path / name, safe_serialization=True)
    for name in names:
        assert {"adapter_config.json", "adapter_model.safetensors"} <= {
            path.name for path in (tmp_path / name).iterdir()
        }
        assert not any(path.is_dir() for path in (tmp_path / name).iterdir())
        with hushed():
            again = peft.PeftModel.from_pretrained(made(), tmp_path / name).eval()
        torch.testing.assert_close(logits(again), expected[name], rtol=0, atol=0)


def test_no_adapter_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no adapter to train"), with_lora(made(), {}):
        pass


@pytest.mark.parametrize("variant", VARIANTS)
def test_lora_plus_gives_b_its_own_rate(variant: Any) -> None:
    lora = Lora(rank=2, variant=variant, plus_ratio=16, targets=("q_proj", "embed_tokens"))
    if variant == "dora":
        lora = Lora(rank=2, variant=variant, plus_ratio=16, targets=("q_proj",))
    with with_lora(made(), lora) as adapted:
        names = {id(weights): path for path, weights in adapted.named_parameters()}
        groups = parameter_groups(adapted, lora, 1e-4, 0.1)
        found = {
            (part, group["lr"], group["weight_decay"])
            for group in groups
            for weights in group["params"]
            for part in names[id(weights)].split(".")
            if part.startswith("lora_")
        }
    decay = 0.0 if variant == "pissa" else 0.1
    expected = {("lora_A", 1e-4, decay), ("lora_B", 16e-4, decay)}
    if variant == "dora":
        expected |= {("lora_magnitude_vector", 16e-4, 0.0)}
    else:
        expected |= {(f"lora_embedding_{side}", EMBEDDING_RATE, decay) for side in "AB"}
    assert found == expected


def test_the_groups_are_those_of_peft() -> None:
    from peft.optimizers import create_loraplus_optimizer

    lora = Lora(rank=2, plus_ratio=8, targets=("q_proj", "v_proj", "embed_tokens"))
    with with_lora(made(), lora) as adapted:
        theirs = create_loraplus_optimizer(
            adapted,
            torch.optim.AdamW,
            lr=2e-4,
            loraplus_lr_ratio=8,
            loraplus_weight_decay=0.1,
        )
        ours = parameter_groups(adapted, lora, 2e-4, 0.1)
        expected = {
            id(weights): (group["lr"], group["weight_decay"])
            for group in theirs.param_groups
            for weights in group["params"]
        }
        found = {
            id(weights): (group["lr"], group["weight_decay"])
            for group in ours
            for weights in group["params"]
        }
    assert found == expected


def test_without_lora_plus_everything_has_one_rate() -> None:
    lora = Lora(rank=2)
    with with_lora(made(), lora) as adapted:
        groups = parameter_groups(adapted, lora, 3e-4)
        learning = [weights for weights in adapted.parameters() if weights.requires_grad]
    assert {group["lr"] for group in groups} == {3e-4}
    assert sum(len(group["params"]) for group in groups) == len(learning)
