"""A real GGUF file becomes the weights it was made from, once, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, RunError
from bactrian.models import base, gguf

torch = pytest.importorskip("torch")
pytest.importorskip("gguf")
pytest.importorskip("transformers")

STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260K"


@pytest.fixture
def stories() -> Path:
    path = STORIES / "stories260K-f32.gguf"
    if not path.is_file():
        pytest.skip("real data is not beside the repository: stories260K")
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bactrian" / "bases"


def test_the_weights_are_those_of_the_folder_beside(stories: Path) -> None:
    from safetensors.torch import load_file

    found = base.locate(str(stories))
    ours = load_file(found.folder / "model.safetensors")
    theirs = load_file(STORIES / "model.safetensors")
    head = ours.pop("lm_head.weight")  # of its own in GGUF, tied in the folder
    torch.testing.assert_close(head, theirs["model.embed_tokens.weight"], rtol=0, atol=0)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0)


def test_nothing_is_printed_on_the_way(
    stories: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gguf.convert(stories, cache)
    assert capfd.readouterr() == ("", "")


def test_model_and_tokenizer_can_be_used(stories: Path) -> None:
    from bactrian.models.generation import GenerationSettings, generate

    loaded = base.load(str(stories), dtype="float32")
    settings = GenerationSettings(temperature=0, beams=1, max_tokens=8)
    answer = generate(loaded.model, loaded.tokenizer, "Once upon a time, there was", settings)
    assert answer.text.strip().startswith("a little girl named")


def test_it_is_converted_once(stories: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = base.locate(str(stories))

    def again(file: Path, folder: Path) -> None:
        raise AssertionError("converted twice")

    monkeypatch.setattr(gguf, "_convert", again)
    assert base.locate(str(stories)) == first
    assert first.folder.parent == cache


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), RunError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_conversion_that_is_cut_off_leaves_nothing(
    stories: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    told: type[BaseException],
) -> None:
    from transformers import PreTrainedTokenizerFast

    def fail(self: Any, folder: Path, **_: Any) -> None:
        assert any(Path(folder).iterdir()), "the weights are there already"
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(PreTrainedTokenizerFast, "save_pretrained", fail)
        with pytest.raises(told):
            gguf.convert(stories, cache)
    assert [path.name for path in cache.iterdir()] == [".lock"]
    assert (gguf.convert(stories, cache) / "tokenizer.json").is_file()


def test_what_a_kill_left_is_not_taken_for_a_base(stories: Path, cache: Path) -> None:
    folder = gguf.convert(stories, cache)
    half = folder.rename(folder.with_name(f".{folder.name}.unfinished"))
    (half / "stale").touch()
    assert not (gguf.convert(stories, cache) / "stale").exists()
    assert not half.exists()


@pytest.mark.parametrize("kept", [0, 3, 4000, 50_000, 1_000_000])
def test_a_file_that_is_no_gguf_or_cut_is_a_users_error(
    stories: Path, tmp_path: Path, cache: Path, kept: int
) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(stories.read_bytes()[:kept] if kept != 3 else b"no GGUF at all")
    with pytest.raises(ConfigError, match="cannot be read"):
        gguf.convert(damaged, cache)
    assert [path.name for path in cache.iterdir()] == [".lock"]
