"""One adapter in its base: every kind that PEFT trains gives the tensors that its merge gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import merge_toys  # noqa: E402

from bactrian.errors import AdapterError, ConfigError, RunError  # noqa: E402
from bactrian.publish.merge import merged_weights  # noqa: E402
from bactrian.publish.merge.merged import MergedWeights  # noqa: E402

QKVO = ["q_proj", "k_proj", "v_proj", "o_proj"]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {"target_modules": QKVO}),
    "every layer": ("llama", {"target_modules": "all-linear"}),
    "rslora": ("llama", {"target_modules": QKVO, "use_rslora": True}),
    "patterns": (
        "llama",
        {
            "target_modules": QKVO,
            "rank_pattern": {"layers.1.self_attn.q_proj": 7, "v_proj": 2},
            "alpha_pattern": {"k_proj": 3, r"layers\.0\..*o_proj": 5},
        },
    ),
    "dora": ("llama", {"target_modules": QKVO, "use_dora": True}),
    "dora with rslora": ("bloom", {"use_dora": True, "use_rslora": True}),
    "head": ("llama", {"target_modules": ["lm_head", "q_proj"]}),
    "embedding": ("llama", {"target_modules": ["embed_tokens", "v_proj"]}),
    "embedding with dora": ("llama", {"target_modules": ["embed_tokens", "q_proj"],
                                      "use_dora": True}),
    "whole head": ("llama", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "bloom": ("bloom", {"target_modules": ["query_key_value", "dense"]}),
    "trained biases": ("bloom", {"target_modules": ["query_key_value"], "bias": "lora_only"}),
    "all biases": ("bloom", {"target_modules": ["query_key_value"], "bias": "all"}),
    "lora bias": ("bloom", {"target_modules": ["dense_4h_to_h"], "lora_bias": True}),
    "conv1d": ("gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    "conv1d with dora": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True,
                                  "use_dora": True}),
    "tokens": ("llama", {"target_modules": ["q_proj"], "trainable_token_indices": [5, 77]}),
    "encoder-decoder": ("t5", {"target_modules": ["q", "v", "wo"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("families")
    return {
        family: merge_toys.write_base(place / family, family, tiny_base)
        for family in merge_toys.FAMILIES
    }


def as_model(weights: MergedWeights) -> dict[str, Any]:
    """The tensors by the model's names."""
    names = {name: parameter for parameter, name in weights.places.names.items()}
    return {names.get(name, name): weights.get(name) for name in weights.shapes}


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_gives_what_peft_merges(
    kind: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    family, config = KINDS[kind]
    base = bases[family]
    model = merge_toys.adapted(base, **config)
    folder = merge_toys.save(model, tmp_path / "adapter", base)
    before = merge_toys.load(base).state_dict()
    wanted = model.merge_and_unload().state_dict()
    weights = merged_weights(merge_toys.source(folder))
    found = as_model(weights)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-5, msg=name)
    changed = {name for name in found if not torch.equal(wanted[name], before[name])}
    parameters = {name: one for one, name in weights.places.names.items()}
    assert changed
    assert changed <= {parameters[name] for name in weights.made}


def test_an_adapter_on_a_tied_head_gives_it_values_of_its_own(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["tied"]
    folder = merge_toys.adapter(tmp_path / "a", base, target_modules=["lm_head", "q_proj"])
    weights = merged_weights(merge_toys.source(folder))
    before = merge_toys.load(base).model.embed_tokens.weight
    assert weights.untied
    assert torch.equal(weights.get("model.embed_tokens.weight"), before)
    assert not torch.equal(weights.get("lm_head.weight"), before)


def test_an_adapter_on_a_tied_embedding_leaves_the_head_as_it_was(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["tied"]
    folder = merge_toys.adapter(tmp_path / "a", base, target_modules=["embed_tokens", "q_proj"])
    weights = merged_weights(merge_toys.source(folder))
    before = merge_toys.load(base).model.embed_tokens.weight
    assert torch.equal(weights.get("lm_head.weight"), before)
    assert not torch.equal(weights.get("model.embed_tokens.weight"), before)


def test_rows_of_a_tied_embedding_stay_tied(bases: dict[str, Path], tmp_path: Path) -> None:
    base = bases["tied"]
    model = merge_toys.adapted(base, target_modules=["q_proj"], trainable_token_indices=[3, 300])
    folder = merge_toys.save(model, tmp_path / "a", base)
    weights = merged_weights(merge_toys.source(folder))
    wanted = model.merge_and_unload().state_dict()
    assert not weights.untied
    torch.testing.assert_close(weights.get("model.embed_tokens.weight"), wanted["lm_head.weight"])


def test_what_an_encoder_decoder_shares_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    folder = merge_toys.adapter(tmp_path / "a", bases["t5"], target_modules=["shared", "q"])
    with pytest.raises(AdapterError, match="encoder, decoder and head share"):
        merged_weights(merge_toys.source(folder))


def test_names_of_files_without_the_models_prefix(bases: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tmp_path / "bloom"
    merge_toys.write_base(base, "bloom", bases["llama"])
    tensors = load_file(base / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    save_file(bare, base / "model.safetensors", {"format": "pt"})  # as BLOOM is published
    model = merge_toys.adapted(base, target_modules=["query_key_value"])
    folder = merge_toys.save(model, tmp_path / "a", base)
    wanted = model.merge_and_unload().state_dict()
    weights = merged_weights(merge_toys.source(folder))
    assert "h.0.self_attention.query_key_value.weight" in weights.made
    for name, tensor in as_model(weights).items():
        torch.testing.assert_close(tensor, wanted[name])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_sum_is_made_in_float32_and_rounded_once(
    dtype: Any, bases: dict[str, Path], tmp_path: Path
) -> None:
    folder = merge_toys.adapter(tmp_path / "a", bases["llama"], target_modules=QKVO)
    source = merge_toys.source(folder)
    whole, rounded = merged_weights(source), merged_weights(source, dtype=dtype)
    assert rounded.dtype == dtype
    for name in whole.shapes:
        assert torch.equal(rounded.get(name), whole.get(name).to(getattr(torch, dtype))), name


def test_values_beyond_float16_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    folder = merge_toys.adapter(tmp_path / "a", bases["llama"], target_modules=["q_proj"],
                                lora_alpha=10**7)  # fmt: skip
    weights = merged_weights(merge_toys.source(folder), dtype="float16")
    with pytest.raises(RunError, match="float16 cannot"):
        weights.get("model.layers.0.self_attn.q_proj.weight")


def edit(folder: Path, **told: Any) -> None:
    import json

    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | told))


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"init_lora_weights": "pissa_niter_4"}, "began inside the base's weights"),
        ({"peft_type": "LOHA"}, "is a LOHA adapter"),
        ({"task_type": "SEQ_CLS"}, "trained for SEQ_CLS"),
        ({"layer_replication": [[0, 2]]}, "repeats layers"),
        ({"alora_invocation_tokens": [1]}, "from a certain token on"),
        ({"r": 8}, "rank 8"),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(
    told: dict[str, Any], word: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    folder = merge_toys.adapter(tmp_path / "a", bases["llama"], target_modules=["q_proj"])
    edit(folder, **told)
    with pytest.raises(AdapterError, match=word):
        merged_weights(merge_toys.source(folder))


def test_a_tensor_without_a_use_is_told(bases: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = merge_toys.adapter(tmp_path / "a", bases["llama"], target_modules=["q_proj"])
    path = folder / "adapter_model.safetensors"
    place = "base_model.model.model.layers.0.self_attn.k_proj.lora_magnitude_vector"
    save_file({**load_file(path), place: torch.ones(16)}, path, {"format": "pt"})
    with pytest.raises(AdapterError, match=r"nothing is known to do with .*magnitude"):
        merged_weights(merge_toys.source(folder))


def test_an_adapter_of_another_base_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    folder = merge_toys.adapter(tmp_path / "a", bases["bloom"], target_modules=["dense"])
    edit(folder, base_model_name_or_path=str(bases["llama"]))
    with pytest.raises(AdapterError, match="has no place in the base"):
        merged_weights(merge_toys.source(folder))


def test_a_quantised_base_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    import json
    import shutil

    base = tmp_path / "quantised"
    shutil.copytree(bases["llama"], base)
    told = json.loads((base / "config.json").read_text())
    told["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    folder = merge_toys.adapter(tmp_path / "a", bases["llama"], target_modules=["q_proj"])
    (base / "config.json").write_text(json.dumps(told))
    edit(folder, base_model_name_or_path=str(base))
    with pytest.raises(ConfigError, match="quantised"):
        merged_weights(merge_toys.source(folder))
