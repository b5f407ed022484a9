"""A model as a GGUF file: llama.cpp computes from it what transformers computes from the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import gguf_toys as toys
from gguf import GGUFReader

from bactrian.errors import ConfigError, RunError
from bactrian.publish import exported
from bactrian.publish.exported import Exported
from bactrian.publish.gguf import export, llama, proof, proving
from bactrian.publish.gguf.export import Done, Wish, foretell, write_model
from bactrian.publish.gguf.rows import by_pairs
from bactrian.publish.opened import Opened, open_place

LANGUAGES = ("en", "zh", "hi", "ar", "ru", "th")


@pytest.fixture(scope="session")
def lines(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for code in LANGUAGES for text in sentences[code]]


@pytest.fixture(scope="session")
def pieces(lines: list[str]) -> Any:
    return toys.by_pieces(lines)


@pytest.fixture(scope="session")
def bytewise(lines: list[str]) -> Any:
    return toys.by_bytes(lines)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory, pieces: Any) -> Path:
    return toys.saved(tmp_path_factory.mktemp("gguf") / "llama", "llama", pieces)


def written(opened: Opened, to: Path, type: str = "f32", **told: Any) -> Done:
    return write_model(opened, Wish(to, type, "bactrian export gguf …", **told))


def stored(path: Path) -> dict[str, str]:
    return {one.name: one.tensor_type.name for one in GGUFReader(path).tensors}


def field(path: Path, key: str) -> Any:
    found = GGUFReader(path).get_field(key)
    return None if found is None else found.contents()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", toys.OWN)
def test_llama_cpp_computes_what_transformers_does(
    name: str, pieces: Any, bytewise: Any, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    tokenizer = bytewise if name in ("bloom", "qwen2", "qwen3") else pieces
    folder = toys.saved(tmp_path / "model", name, tokenizer)
    done = written(open_place(folder, prompt="bactrian"), tmp_path / "model.gguf")
    assert done.proof is not None
    assert done.proof.logits is not None
    assert done.proof.ids.languages == 52
    assert done.proof.logits.largest < 0.004  # the limit is 0.01: what is wrong is far beyond
    assert done.proof.logits.same == done.proof.logits.prompts == 6
    assert done.proof.logits.tokens > 40
    assert done.proof.turn in (True, None)


def test_rows_in_the_wrong_order_are_found_and_no_file_is_left(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(llama, "by_pairs", lambda heads: lambda tensor: tensor)
    with pytest.raises(RunError, match=r"log-probabilities differ .* 0\.01 is allowed"):
        written(open_place(tiny_llama), tmp_path / "model.gguf")
    assert left(tmp_path) == []


def test_pairs_become_neighbours() -> None:
    import torch

    rows = torch.arange(8).reshape(8, 1)
    assert by_pairs(2)(rows).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("type", "inside", "embedding"),
    [
        ("f16", "F16", "F16"),
        ("bf16", "BF16", "BF16"),
        ("q8_0", "Q8_0", "Q8_0"),
        ("q4_0", "Q4_0", "Q8_0"),
    ],
)
def test_every_type_is_written_and_measured(
    type: str, inside: str, embedding: str, tiny_llama: Path, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "model.gguf"
    opened = open_place(tiny_llama)
    forecast = foretell(opened, Wish(path, type, ""))
    done = written(opened, path, type)
    found = stored(path)
    assert found["blk.0.attn_q.weight"] == inside
    assert found["token_embd.weight"] == embedding
    assert found["blk.0.attn_norm.weight"] == "F32"
    assert forecast.tensors == done.tensors == len(found)
    assert done.bytes == path.stat().st_size
    assert done.bytes < forecast.bytes < done.bytes + 400_000
    assert done.proof is not None
    assert done.proof.logits is not None
    assert done.proof.logits.limit == proof.limit_of(type)
    assert 0 < done.proof.logits.largest < {"f16": 0.1, "bf16": 1, "q8_0": 2, "q4_0": 12}[type]
    assert done.proof.logits.divergence >= 0


def test_rows_that_are_no_blocks_stay_in_f16(pieces: Any, tmp_path: Path) -> None:
    folder = toys.saved(tmp_path / "model", "llama", pieces, intermediate_size=100)
    path = tmp_path / "model.gguf"
    done = written(open_place(folder), path, "q8_0", prove=False)
    assert stored(path)["blk.1.ffn_down.weight"] == "F16"
    assert stored(path)["blk.1.ffn_up.weight"] == "Q8_0"
    assert done.kept_back == 2


def test_what_a_file_says_of_itself(tiny_llama: Path, tmp_path: Path) -> None:
    (tiny_llama / "README.md").write_text("---\ntags: [x]\nlicense: mit\n---\n", encoding="utf-8")
    path = tmp_path / "model.gguf"
    written(open_place(tiny_llama, prompt="alpaca"), path, "f16", prove=False)
    (tiny_llama / "README.md").unlink()
    assert field(path, "general.license") == "mit"
    assert field(path, "general.name") == "llama"
    assert field(path, "general.file_type") == 1
    assert field(path, "llama.context_length") == 1024
    assert field(path, "bactrian.prompt") == "alpaca"
    assert "Below is an instruction" in field(path, "tokenizer.chat_template")
    assert field(path, "tokenizer.ggml.add_bos_token") is True
    assert field(path, "tokenizer.ggml.bos_token_id") == 1
    assert field(path, "tokenizer.ggml.tokens")[-1].startswith("[PAD")  # rows beyond the ids
    record = orjson.loads(path.with_name("model.gguf.json").read_bytes())
    assert record["kind"] == "gguf"
    assert record["proof"] == {}
    assert record["base_fingerprint"]


def test_a_merged_folder_keeps_what_its_record_says(tiny_llama: Path, tmp_path: Path) -> None:
    part = exported.Part("zh", 1.0, ("zh",), "hash")
    record = Exported("merged", "b", "", "f", (part,), "alone", "float32", "alpaca", "…")
    exported.write(record, tiny_llama / exported.NAME)
    try:
        opened = open_place(tiny_llama)
    finally:
        (tiny_llama / exported.NAME).unlink()
    path = tmp_path / "model.gguf"
    written(opened, path, prove=False)
    assert field(path, "bactrian.prompt") == "alpaca"
    assert field(path, "general.languages") == ["zh"]
    assert field(path, "general.base_model.0.name") == "b"
    assert orjson.loads(path.with_name("model.gguf.json").read_bytes())["parts"][0]["name"] == "zh"


def test_a_folder_of_which_no_prompt_is_known_gets_no_template(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    written(open_place(tiny_llama), path, prove=False)
    assert field(path, "tokenizer.chat_template") is None


def test_without_room_for_the_model_only_ids_are_compared(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")

    monkeypatch.setattr(proving, "free_memory", lambda: 1000)
    done = written(open_place(tiny_llama), tmp_path / "model.gguf")
    assert done.proof is not None
    assert done.proof.ids.texts > 100
    assert done.proof.logits is None


def test_without_llama_cpp_nothing_is_proved(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.publish.gguf import choosing

    for module in (proving, choosing):
        monkeypatch.setattr(module, "installed", lambda: False)
    done = written(open_place(tiny_llama), tmp_path / "model.gguf")
    assert done.proof is None
    assert done.path.is_file()


def test_an_export_that_is_cut_short_leaves_nothing(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*told: Any) -> None:
        told[0].write_bytes(b"GGUF")
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "write", cut)
    with pytest.raises(KeyboardInterrupt):
        written(open_place(tiny_llama), tmp_path / "model.gguf", prove=False)
    assert left(tmp_path) == []


def test_a_file_that_is_there_is_kept_unless_told(tiny_llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists already"):
        written(open_place(tiny_llama), path, prove=False)
    assert path.read_bytes() == b"mine"
    written(open_place(tiny_llama), path, prove=False, overwrite=True)
    assert path.read_bytes()[:4] == b"GGUF"
