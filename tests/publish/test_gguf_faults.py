"""What cannot be written as GGUF is said by name, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import gguf_toys as toys
import torch

from bactrian.cli import main
from bactrian.errors import ConfigError, RunError
from bactrian.publish.gguf import bloom, llama, rope
from bactrian.publish.gguf.export import Wish, foretell, write_model
from bactrian.publish.gguf.families import FAMILIES, family_of
from bactrian.publish.gguf.general import licence_of
from bactrian.publish.gguf.storage import Stored, pieces, type_of
from bactrian.publish.opened import open_place

PLAIN: dict[str, Any] = {
    "hidden_act": "silu",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


def config(**own: Any) -> Any:
    return SimpleNamespace(**{**PLAIN, **own})


def turned(**told: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **told}}


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ({"hidden_act": "gelu"}, "the activation gelu"),
        (turned(rope_type="dynamic", factor=2.0), "rope_type dynamic"),
        (turned(partial_rotary_factor=0.5), "only a part of each head"),
        (turned(rope_type="yarn", factor=2.0, beta_fast=16), "yarn with beta_fast of its own"),
        (turned(rope_type="yarn", factor=2.0, mscale=0.7), "yarn with mscale of its own"),
    ],
)
def test_settings_that_llama_cpp_computes_otherwise_are_refused(
    own: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        llama.settings(config(**own))


def test_bloom_with_residuals_after_the_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not compute"):
        bloom.settings(SimpleNamespace(apply_residual_connection_post_layernorm=True))


def test_a_window_is_as_much_as_the_file_says_the_model_takes() -> None:
    assert llama.context(config(sliding_window=32)) == 32
    assert llama.context(config(sliding_window=None)) == 128
    assert llama.context(config(sliding_window=32, use_sliding_window=False)) == 128


def test_frequency_factors_are_those_of_llama_3_1() -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    told = LlamaConfig(**{**toys.COMMON, "rope_parameters": toys.LLAMA3_ROPE})
    factors = rope.frequency_factors(told, 16)
    assert factors is not None
    plain = 1 / 10000.0 ** (torch.arange(0, 16, 2) / 16)
    wanted = LlamaRotaryEmbedding(told).inv_freq
    assert torch.allclose(plain / torch.tensor(factors), wanted, rtol=1e-5)
    assert 1.0 in factors
    assert any(factor > 1 for factor in factors)


def test_other_architectures_are_refused_with_those_that_are_written() -> None:
    with pytest.raises(ConfigError, match="of the architecture gpt2") as caught:
        family_of(SimpleNamespace(model_type="gpt2"), "gpt2")
    assert "llama, mistral, qwen2, qwen3, bloom" in caught.value.hint


@pytest.mark.parametrize(
    ("family", "tensor", "name"),
    [
        ("llama", "model.layers.11.self_attn.q_proj.weight", "blk.11.attn_q.weight"),
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", None),
        ("bloom", "h.3.mlp.dense_4h_to_h.bias", "blk.3.ffn_down.bias"),
        ("bloom", "transformer.word_embeddings.weight", "token_embd.weight"),
    ],
)
def test_tensors_have_their_names(family: str, tensor: str, name: str | None) -> None:
    assert FAMILIES[family].name(tensor) == name


def test_a_tensor_without_a_place_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.layers\.0\.mlp\.experts\.w1\.weight has no"):
        FAMILIES["llama"].name("model.layers.0.mlp.experts.w1.weight")


def test_numbers_beyond_float16_are_refused_by_name() -> None:
    stored = Stored("blk.0.ffn_up.weight", (2, 2), "f16")
    tensor = torch.tensor([[1.0, 2.0], [7e4, 0.0]])
    with pytest.raises(ConfigError, match=r"blk\.0\.ffn_up\.weight holds numbers beyond") as caught:
        list(pieces(tensor, stored))
    assert "bf16" in caught.value.hint
    wide = Stored("blk.0.ffn_up.weight", (2, 2), "bf16")
    assert sum(piece.nbytes for piece in pieces(tensor, wide)) == wide.bytes == 8


@pytest.mark.parametrize(
    ("name", "shape", "wanted", "type"),
    [
        ("blk.0.attn_norm.weight", (64,), "q4_0", "f32"),
        ("blk.0.attn_q.weight", (64, 64), "q4_0", "q4_0"),
        ("output.weight", (64, 64), "q4_0", "q8_0"),
        ("blk.0.attn_q.weight", (64, 48), "q8_0", "f16"),
        ("blk.0.attn_q.weight", (64, 48), "bf16", "bf16"),
    ],
)
def test_each_tensor_has_its_type(
    name: str, shape: tuple[int, ...], wanted: str, type: str
) -> None:
    assert type_of(name, shape, wanted) == type


@pytest.fixture
def small(tmp_path: Path, sentences: Mapping[str, Sequence[str]]) -> Path:
    return toys.saved(tmp_path / "model", "bloom", toys.by_bytes(sentences["en"], size=300))


def test_a_disk_without_room_is_found_before(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    opened = open_place(small)
    for does in (write_model, foretell):
        with pytest.raises(RunError, match=r"needs 0\.00 GB and the disk has 0\.00 GB left"):
            does(opened, Wish(tmp_path / "x.gguf", "f16", ""))
    assert not (tmp_path / "x.gguf").exists()


def test_a_disk_that_fills_up_leaves_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from bactrian.publish.gguf import writing

    def full(tensor: Any, stored: Stored) -> Any:
        yield memoryview(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "pieces", full)
    with pytest.raises(RunError, match="no space left on the disk"):
        write_model(open_place(small), Wish(tmp_path / "x.gguf", "f16", "", prove=False))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is neither an adapter's folder nor a model's"):
        open_place(tmp_path)


def test_a_readme_may_name_a_licence(tmp_path: Path) -> None:
    assert licence_of(tmp_path) == ""
    (tmp_path / "README.md").write_text("# no head\nlicense: mit\n", encoding="utf-8")
    assert licence_of(tmp_path) == ""


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def asked(*words: str | Path) -> tuple[int, str, str]:
        code = 0
        try:
            main(["export", *map(str, words)])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


def test_the_command_says_what_it_would_write_and_what_it_wrote(
    run: Run, small: Path, tmp_path: Path
) -> None:
    to = tmp_path / "model.gguf"
    code, out, _ = run("gguf", small, "--to", to, "--dry-run")
    assert (code, to.exists()) == (0, False)
    assert "would write" in out
    code, out, _ = run("gguf", "--base-only", "--base", small, "--to", to, "--no-proof")
    assert code == 0
    assert "not proved, as --no-proof says" in out
    assert to.is_file()
    code, out, err = run("gguf", small, "--to", to, "--overwrite", "--json")
    assert code == 0, err
    assert '"type":"f16"' in out


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (["--type", "q5_1"], "unknown type q5_1", "q4_0"),
        (["--base-only"], "do not go together", "name an adapter's folder"),
        (["--to", "model.bin"], "does not end in .gguf", "NAME.gguf"),
    ],
)
def test_the_command_says_what_is_wrong(
    words: list[str], problem: str, hint: str, run: Run, small: Path, tmp_path: Path
) -> None:
    to = [] if "--to" in words else ["--to", tmp_path / "model.gguf"]
    code, _, err = run("gguf", small, *to, *words)
    assert code == 2
    assert problem in err
    assert hint in err
    assert not (tmp_path / "model.gguf").exists()


def test_nothing_named_is_said(run: Run, tmp_path: Path) -> None:
    code, _, err = run("gguf", "--to", tmp_path / "model.gguf")
    assert (code, "nothing is named" in err) == (2, True)
    code, _, err = run("gguf-adapter", tmp_path, "--to", "x.gguf", "--over", tmp_path / "no.gguf")
    assert (code, "there is no file" in err) == (2, True)
