"""Where a model is found, what marks its weights, and when the Hub is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.errors import ConfigError, MissingExtra
from bactrian.providers import Told
from bactrian.providers.here import weights as module
from bactrian.providers.here.weights import Weights, best_form, device_of, load, weights_of
from bactrian.recipe import Respond

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "models" / "copy"))


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the Hub."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def cached(cache: Path, tiny_base: Path) -> Callable[..., Path]:
    """Return what puts a model into the cache as the Hub's client does."""

    def put(*patterns: str) -> Path:
        folder = cache / "models--some--model"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(COMMIT)
        snapshot = folder / "snapshots" / COMMIT
        snapshot.mkdir(parents=True, exist_ok=True)
        for pattern in patterns or ("*",):
            for file in tiny_base.glob(pattern):
                shutil.copy(file, snapshot)
        return snapshot

    return put


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, cached: Callable[..., Path]) -> Iterator[SimpleNamespace]:
    """A Hub that has the tiny model, and counts what it is asked."""
    import huggingface_hub

    real = huggingface_hub.snapshot_download
    asked = SimpleNamespace(names=["config.json", "model.safetensors"], commits=0, fetched=[])

    class Api:
        def model_info(self, name: str, revision: str | None = None) -> Any:
            asked.commits += 1
            return SimpleNamespace(sha=COMMIT)

        def list_repo_files(self, name: str, revision: str | None = None) -> list[str]:
            return list(asked.names)

    def download(name: str, **told: Any) -> str:
        if told.get("local_files_only"):
            return str(real(name, **told))
        asked.fetched.append(tuple(told["allow_patterns"]))
        return str(cached(*told["allow_patterns"]))

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    yield asked


def test_a_folder_is_found_beside_the_recipe_and_called_by_its_name(copy: Path) -> None:
    found = Weights("models/copy", copy.parents[1])
    assert (found.id, found.whole(), found.described) == ("copy", copy, copy)
    elsewhere = Path(shutil.copytree(copy, copy.parents[1] / "other" / "copy"))
    assert Weights(str(elsewhere), Path("/")).mark == found.mark
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert Weights("models/copy", copy.parents[1]).mark != found.mark


def test_a_gguf_file_is_marked_without_being_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF and more")
    monkeypatch.setattr("bactrian.models.base.locate", lambda *_: pytest.fail("it was converted"))
    found = Weights("model.gguf", tmp_path)
    assert found.id == "model.gguf"
    assert len(found.mark) == 32


def test_what_is_here_is_used_and_the_hub_is_not_asked(
    cached: Callable[..., Path], hub: SimpleNamespace
) -> None:
    snapshot = cached()
    found = Weights("some/model", Path("/"), network=True)
    assert (found.id, found.mark) == ("some/model", COMMIT)
    assert found.whole() == found.described == snapshot
    assert (hub.commits, hub.fetched) == (0, [])


def test_a_commit_needs_no_look_up(hub: SimpleNamespace) -> None:
    assert Weights("some/model", Path("/"), revision="f" * 40).mark == "f" * 40
    assert (hub.commits, hub.fetched) == (0, [])


def test_without_the_network_an_absent_model_is_an_error(cache: Path) -> None:
    found = Weights("some/model", Path("/"))
    for ask in (lambda: found.mark, lambda: found.described, found.whole):
        with pytest.raises(ConfigError, match="is not whole on this machine") as told:
            ask()
        assert "network = true" in told.value.hint
    with pytest.raises(ConfigError, match="neither a folder, nor a GGUF file, nor a Hub id"):
        Weights("/no/where/at/all", Path("/")).mark  # noqa: B018


def test_a_plan_fetches_no_weights(hub: SimpleNamespace) -> None:
    found = Weights("some/model", Path("/"), network=True)
    assert found.mark == COMMIT
    assert (hub.commits, hub.fetched) == (1, [])
    assert (found.described / "config.json").is_file()
    assert hub.fetched == [module.DESCRIBED]
    assert not list(found.described.glob("*.safetensors"))
    assert list(found.whole().glob("*.safetensors"))
    assert hub.fetched[1:] == [(*module.DESCRIBED, "*.safetensors")]


def test_a_model_without_safetensors_comes_in_the_older_form() -> None:
    assert best_form(["config.json", "pytorch_model.bin", "rust_model.ot"]) == "*.bin"
    assert best_form(["pytorch_model.bin", "model-00001-of-00002.safetensors"]) == "*.safetensors"


def test_a_model_that_changed_meanwhile_is_not_mistaken(
    hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Weights("some/model", Path("/"), network=True)
    found.__dict__["mark"] = "a" * 40
    with pytest.raises(ConfigError, match="was changed on the Hub a moment ago"):
        found.whole()


def test_failures_of_the_hub_are_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Weights("some/model", Path("/"), network=True)
    with pytest.raises(ConfigError, match=r"HF_HUB_OFFLINE is set|could not be fetched"):
        found.mark  # noqa: B018


def told(**options: Any) -> Told:
    return Told(Respond(using="local", model="some/model", options=options), Path("/"))


def test_the_recipe_s_options_reach_the_weights() -> None:
    made = weights_of(told(), {"network": True, "revision": "v1"})
    assert (made.told, made.network, made.revision) == ("some/model", True, "v1")
    nameless = Told(Respond(using="local"), Path("/"))
    with pytest.raises(ConfigError, match="using = local needs a model"):
        weights_of(nameless, {"network": False, "revision": ""})


def test_what_cannot_be_loaded_is_named(copy: Path) -> None:
    found = Weights(str(copy), Path("/"))
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be loaded") as told:
        load("AutoModelForCausalLM", found, "cpu", "float32")
    assert str(copy) in told.value.hint


def test_a_tokenizer_that_needs_a_package_says_which(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise ImportError("M2M100Tokenizer requires the SentencePiece library\nmore")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", absent)
    with pytest.raises(MissingExtra, match=r"requires the SentencePiece library \(pip"):
        load("AutoModelForCausalLM", Weights(str(copy), Path("/")), "cpu", "float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_is_loaded_as_told(copy: Path, dtype: str) -> None:
    model, tokenizer = load("AutoModelForCausalLM", Weights(str(copy), Path("/")), "cpu", dtype)
    assert model.dtype == getattr(torch, dtype)
    assert (model.training, model.device.type, tokenizer.eos_token) == (False, "cpu", "</s>")


def test_devices_and_dtypes_are_checked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_of("auto"), device_of("cuda:1"), device_of("cpu")) == ("cuda", "cuda:1", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == "cpu"
    with pytest.raises(ConfigError, match="no GPU is usable here"):
        device_of("cuda")
    with pytest.raises(ConfigError, match="unknown device gpu"):
        device_of("gpu")
    with pytest.raises(ConfigError, match="unknown dtype bfloat17") as told:
        load("AutoModelForCausalLM", Weights(str(copy), Path("/")), "cpu", "bfloat17")
    assert told.value.hint == "did you mean bfloat16?"
