"""Adapters in GGUF: merged into the base's file, or alone and laid over it by llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("gguf")

import gguf_toys as toys
from gguf import GGUFReader

from bactrian.errors import AdapterError, ConfigError, RunError
from bactrian.publish.gguf import adapter, bloom, llama, proving
from bactrian.publish.gguf.export import Done, Wish, foretell_adapter, write_adapter, write_model
from bactrian.publish.opened import Opened, open_adapter, open_place

LINEAR = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "bloom": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
}
MIXED = {
    "use_rslora": True,
    "rank_pattern": {"q_proj": 8, "down_proj": 2},
    "alpha_pattern": {"k_proj": 32, "layers.1.self_attn.v_proj": 1},
}


@pytest.fixture(scope="session")
def lines(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for code in ("en", "zh", "hi", "ar", "ru", "th") for text in sentences[code]]


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gguf-bases")
    return {
        "llama": toys.saved(folder / "llama", "llama", toys.by_pieces(lines)),
        "bloom": toys.saved(folder / "bloom", "bloom", toys.by_bytes(lines)),
    }


@pytest.fixture(scope="session")
def plain(bases: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf-adapters") / "zh"
    return toys.adapter_on(bases["llama"], folder, target_modules=LINEAR["llama"])


def alone(opened: Opened, to: Path, type: str = "f32", over: Path | None = None) -> Done:
    return write_adapter(opened, Wish(to, type, "bactrian export gguf-adapter …"), over)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "lora"),
    [("llama", {}), ("llama", MIXED), ("bloom", {}), ("bloom", {"use_rslora": True, "r": 3})],
    ids=["llama", "llama, ranks and alphas", "bloom", "bloom, rslora"],
)
def test_over_the_base_llama_cpp_computes_what_peft_does(
    name: str, lora: dict[str, Any], bases: Mapping[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    folder = toys.adapter_on(bases[name], tmp_path / "zh", target_modules=LINEAR[name], **lora)
    (tmp_path / "out").mkdir()
    done = alone(open_adapter(folder), tmp_path / "out" / "zh.gguf")
    assert done.proof is not None
    assert done.proof.logits is not None
    assert done.proof.logits.largest < 0.004
    assert done.proof.logits.same == done.proof.logits.prompts
    assert left(tmp_path / "out") == ["zh.gguf", "zh.gguf.json"]  # the base's file is gone


@pytest.mark.parametrize(("name", "module"), [("llama", llama), ("bloom", bloom)])
def test_rows_of_b_in_the_wrong_order_are_found(
    name: str,
    module: Any,
    bases: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("xllamacpp")
    folder = toys.adapter_on(bases[name], tmp_path / "zh", target_modules=LINEAR[name])
    base = tmp_path / "base.gguf"
    write_model(open_place(bases[name]), Wish(base, "f32", "", prove=False))
    order = "by_pairs" if name == "llama" else "by_kind"
    monkeypatch.setattr(module, order, lambda heads: lambda tensor: tensor)
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="log-probabilities differ"):
        alone(open_adapter(folder), tmp_path / "out" / "zh.gguf", over=base)
    assert left(tmp_path / "out") == []


def test_an_alpha_that_is_off_is_found(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    told = adapter.keys_of

    def more(lora: adapter.Lora) -> dict[str, Any]:
        return told(lora) | {"adapter.lora.alpha": lora.alpha * 1.02}

    monkeypatch.setattr(adapter, "keys_of", more)
    with pytest.raises(RunError, match="log-probabilities differ"):
        alone(open_adapter(plain), tmp_path / "zh.gguf")


def test_over_a_quantised_base_the_difference_is_measured(
    plain: Path, bases: Mapping[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    base = tmp_path / "base.gguf"
    write_model(open_place(bases["llama"]), Wish(base, "q8_0", "", prove=False))
    done = alone(open_adapter(plain), tmp_path / "zh.gguf", "f16", over=base)
    assert done.proof is not None
    assert done.proof.logits is not None
    assert done.proof.logits.limit is None
    assert 0.001 < done.proof.logits.largest < 2
    assert proving.limit_over(base, "f16") is None


def test_without_room_for_the_model_no_base_is_written_for_a_proof(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.publish.gguf import export

    monkeypatch.setattr(proving, "free_memory", lambda: 1000)
    monkeypatch.setattr(export, "_base_file", None)
    assert alone(open_adapter(plain), tmp_path / "zh.gguf").proof is None


def test_a_file_that_has_an_adapter_in_it_is_no_base(plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    merged = tmp_path / "merged.gguf"
    write_model(open_place(plain), Wish(merged, "f32", "", prove=False))
    with pytest.raises(ConfigError, match="has the adapter zh in it already"):
        alone(open_adapter(plain), tmp_path / "zh.gguf", over=merged)
    assert not (tmp_path / "zh.gguf").exists()


def test_what_the_file_of_an_adapter_holds(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "zh.gguf"
    opened = open_adapter(plain, prompt="alpaca")
    forecast = foretell_adapter(opened, Wish(path, "f16", ""))
    write_adapter(opened, Wish(path, "f16", "", prove=False))
    file = GGUFReader(path)
    tensors = {one.name: one for one in file.tensors}
    assert forecast.tensors == len(tensors) == 2 * 7 * 2
    assert list(tensors["blk.1.attn_k.weight.lora_a"].shape) == [64, 4]
    assert list(tensors["blk.1.attn_k.weight.lora_b"].shape) == [4, 32]
    assert tensors["blk.1.attn_k.weight.lora_b"].tensor_type.name == "F16"
    fields = {
        key: found.contents()
        for key in ("general.type", "adapter.type", "adapter.lora.alpha", "general.architecture")
        if (found := file.get_field(key))
    }
    assert list(fields.values()) == ["adapter", "lora", 8.0, "llama"]
    record = orjson.loads(path.with_name("zh.gguf.json").read_bytes())
    assert (record["kind"], record["prompt"]) == ("gguf-adapter", "alpaca")


def _train_more(model: Any) -> None:
    import torch

    for name, weights in model.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(weights.data)


@pytest.mark.parametrize(
    ("lora", "problem"),
    [
        ({"use_dora": True}, "is a DoRA adapter"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "changes the embedding"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["norm"]}, "otherwise than by B A"),
    ],
    ids=["dora", "embedding", "whole module"],
)
def test_what_has_to_be_merged_is_refused_alone_and_written_merged(
    lora: dict[str, Any], problem: str, bases: Mapping[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    folder = toys.adapter_on(bases["llama"], tmp_path / "zh", _train_more, **lora)
    with pytest.raises(AdapterError, match=problem) as caught:
        alone(open_adapter(folder), tmp_path / "zh.gguf")
    assert "bactrian export gguf" in caught.value.hint
    done = write_model(open_place(folder), Wish(tmp_path / "zh.gguf", "f32", ""))
    assert done.proof is not None
    assert done.proof.logits is not None
    assert done.proof.logits.largest < 0.004


def test_an_adapter_is_written_into_its_base(plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    done = write_model(open_place(plain), Wish(tmp_path / "zh.gguf", "f16", ""))
    assert done.proof is not None
    assert done.proof.turn is True
    assert done.proof.logits is not None
    assert done.proof.logits.same + done.proof.logits.ties == done.proof.logits.prompts


@pytest.mark.parametrize("type", ["q8_0", "bf16", "no"])
def test_other_types_of_an_adapter_are_refused(type: str, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written as f32 or f16"):
        alone(open_adapter(plain), tmp_path / "zh.gguf", type)


def test_a_model_is_no_adapter(bases: Mapping[str, Path]) -> None:
    with pytest.raises(AdapterError, match="is not an adapter's folder"):
        open_adapter(bases["llama"])
