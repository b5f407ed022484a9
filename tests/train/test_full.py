"""Every weight learns, and what is saved is a base, whole or not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError, ConfigError, RunError
from bactrian.events import Event, reading
from bactrian.models import base
from bactrian.train import full

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

IDS = torch.tensor([[0, 5, 9, 40, 41, 42, 77]])
BESIDE = {"bactrian.json": "{}\n", "README.md": "words"}
SMALL = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "Bloom": ("ForCausalLM", {"hidden_size": 16, "n_layer": 1, "n_head": 2}),  # tied
    "OPT": (
        "ForCausalLM",
        {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "ffn_dim": 32,
            "word_embed_proj_dim": 16,
        },
    ),
    "T5": ("ForConditionalGeneration", T5),
    "Mixtral": (
        "ForCausalLM",
        {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "num_local_experts": 2,
        },
    ),
}


@pytest.fixture
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="bfloat16")


def of(name: str, folder: Path, tiny_base: Path) -> base.Base:
    """A base of another architecture, in a folder."""
    ending, own = MADE[name]
    config = getattr(transformers, f"{name}Config")(**SMALL, **own)
    getattr(transformers, name + ending)(config).save_pretrained(folder)
    for path in tiny_base.glob("tokenizer*"):
        shutil.copy(path, folder)
    return base.load(str(folder), dtype="float32")


def learn(model: Any) -> None:
    optimizer = torch.optim.AdamW(full.parameter_groups(model, 0.01, 0.1))
    asked = {"input_ids": IDS} | (
        {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    )
    for _ in range(2):
        model(**asked, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_every_weight_learns_in_float32(loaded: base.Base) -> None:
    told: list[str] = []

    class Said:
        def see(self, event: Event) -> None:
            told.append(event.facts["text"])

    before = {name: weights.clone() for name, weights in loaded.model.named_parameters()}
    with reading(Said()), full.with_all(loaded) as model:
        assert {weights.dtype for weights in model.parameters()} == {torch.float32}
        learn(model)
        for name, weights in model.named_parameters():
            assert weights.requires_grad
            assert not torch.equal(weights, before[name].float()), name
    assert len(told) == 1
    assert "saved in bfloat16" in told[0]
    assert not any(weights.requires_grad for weights in loaded.model.parameters())
    assert not loaded.model.training


def test_vectors_do_not_decay(loaded: base.Base) -> None:
    with full.with_all(loaded) as model:
        groups = full.parameter_groups(model, 0.01, 0.1)
        assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
        assert {weights.dim() for weights in groups[0]["params"]} == {2}
        assert {weights.dim() for weights in groups[1]["params"]} == {1}
        counted = sum(len(group["params"]) for group in groups)
        assert counted == len(list(model.parameters()))


def test_quantised_weights_cannot_learn(loaded: base.Base) -> None:
    from dataclasses import replace

    stored = replace(loaded, quantize="nf4")
    with pytest.raises(ConfigError, match=r"are quantised \(nf4\)"), full.with_all(stored):
        pass


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_what_is_saved_is_a_base(loaded: base.Base, tmp_path: Path, shard: str) -> None:
    with full.with_all(loaded) as model:
        learn(model)
        expected = {name: weights.bfloat16() for name, weights in model.state_dict().items()}
        found = full.save(loaded, tmp_path / "tuned", BESIDE, shard=shard)
    assert found.parameters == sum(weights.numel() for weights in expected.values())
    assert found.tensors == len(expected)
    several = len(list((tmp_path / "tuned").glob("model*.safetensors"))) > 1
    assert several == (shard == "20KB") == (tmp_path / "tuned" / full.INDEX).is_file()
    again = base.load(str(tmp_path / "tuned"), dtype="bfloat16")
    for name, weights in again.model.state_dict().items():
        assert torch.equal(weights, expected[name])
    assert again.tokenizer.chat_template == loaded.tokenizer.chat_template
    assert again.tokenizer("Xin chào")["input_ids"] == loaded.tokenizer("Xin chào")["input_ids"]
    assert again.location.fingerprint != loaded.location.fingerprint
    config = json.loads((tmp_path / "tuned" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    for name, text in BESIDE.items():
        assert (tmp_path / "tuned" / name).read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]


@pytest.mark.parametrize("name", MADE)
def test_every_architecture_comes_back(name: str, tiny_base: Path, tmp_path: Path) -> None:
    loaded = of(name, tmp_path / "own", tiny_base)
    with full.with_all(loaded) as model:
        learn(model)
        full.save(loaded, tmp_path / "tuned", BESIDE)
        expected = model.state_dict()
    again = base.load(str(tmp_path / "tuned"), dtype="float32")
    assert type(again.model) is type(model)
    found = again.model.state_dict()
    assert found.keys() == expected.keys()
    for path, weights in expected.items():
        assert torch.equal(found[path], weights), path
    if name == "Bloom":
        assert "lm_head.weight" not in load_file(tmp_path / "tuned" / full.WEIGHTS)
        assert again.model.lm_head.weight is again.model.transformer.word_embeddings.weight


def test_a_state_that_was_gathered_is_written_with_tied_weights_once(
    tiny_base: Path, tmp_path: Path
) -> None:
    loaded = of("Bloom", tmp_path / "own", tiny_base)
    state = {name: weights.clone() for name, weights in loaded.model.state_dict().items()}
    state["transformer.ln_f.weight"] += 1
    full.save(loaded, tmp_path / "tuned", BESIDE, state=state)
    found = load_file(tmp_path / "tuned" / full.WEIGHTS)
    assert torch.equal(found["transformer.ln_f.weight"], state["transformer.ln_f.weight"])
    assert "lm_head.weight" not in found


def test_the_bases_generation_settings_are_kept_even_where_they_contradict_themselves(
    tiny_base: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "own"))
    told = '{"do_sample": false, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 7]}'
    (folder / full.GENERATION).write_text(told)
    loaded = base.load(str(folder), dtype="float32")
    settings = loaded.model.generation_config
    full.save(loaded, tmp_path / "tuned", BESIDE)
    assert (tmp_path / "tuned" / full.GENERATION).read_text() == told
    assert loaded.model.generation_config is settings
    (folder / full.GENERATION).unlink()
    full.save(loaded, tmp_path / "tuned", BESIDE)
    assert not (tmp_path / "tuned" / full.GENERATION).exists()


def test_a_diverged_training_leaves_nothing(loaded: base.Base, tmp_path: Path) -> None:
    loaded.model.model.norm.weight.data[3] = float("nan")
    with pytest.raises(AdapterError, match=r"model.norm.weight holds values that are not finite"):
        full.save(loaded, tmp_path / "tuned", BESIDE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), RunError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_save_that_is_cut_off_leaves_what_was_there(
    loaded: base.Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    told: type[BaseException],
) -> None:
    full.save(loaded, tmp_path / "tuned", {"README.md": "the first"})

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(loaded.tokenizer, "save_pretrained", fail)
    with pytest.raises(told):
        full.save(loaded, tmp_path / "tuned", {"README.md": "the second"})
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]
    assert (tmp_path / "tuned" / "README.md").read_text() == "the first"
    assert base.load(str(tmp_path / "tuned"), dtype="float32")


def cut(folder: Path) -> None:
    path = folder / full.WEIGHTS
    path.write_bytes(path.read_bytes()[:-8])


def without_one(folder: Path) -> None:
    weights = load_file(folder / full.WEIGHTS)
    del weights["model.norm.weight"]
    save_file(weights, folder / full.WEIGHTS)


def with_one_more(folder: Path) -> None:
    weights = load_file(folder / full.WEIGHTS)
    save_file({**weights, "more": torch.zeros(1)}, folder / full.WEIGHTS)


def with_other_values(folder: Path) -> None:
    weights = load_file(folder / full.WEIGHTS)
    weights["model.norm.weight"][0] += 1
    save_file(weights, folder / full.WEIGHTS)


def with_another_shape(folder: Path) -> None:
    weights = load_file(folder / full.WEIGHTS)
    weights["model.norm.weight"] = weights["model.norm.weight"][1:].clone()
    save_file(weights, folder / full.WEIGHTS)


def without_its_name(folder: Path) -> None:
    (folder / full.WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")


def with_a_wrong_index(folder: Path) -> None:
    (folder / full.INDEX).write_text('{"weight_map": {"model.norm.weight": "nowhere"}}')


def with_another_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "eos_token": "<s>"}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "is damaged"),
        (without_one, "lacks model.norm.weight"),
        (with_one_more, "more is no weight of the model"),
        (with_other_values, "model.norm.weight holds other values"),
        (with_another_shape, "model.norm.weight has another shape"),
        (without_its_name, "several files of weights and no index"),
        (with_a_wrong_index, "does not say where the weights are"),
        (with_another_tokenizer, "is not the base's any more"),
    ],
)
def test_what_is_not_what_was_trained_is_found_out(
    tiny_base: Path, tmp_path: Path, damage: Any, said: str
) -> None:
    loaded = base.load(str(tiny_base), dtype="float32")
    full.save(loaded, tmp_path / "tuned", BESIDE)
    state = loaded.model.state_dict()
    assert full.verify(tmp_path / "tuned", loaded, state).tensors == len(state)
    damage(tmp_path / "tuned")
    with pytest.raises(AdapterError, match=said):
        full.verify(tmp_path / "tuned", loaded, state)
