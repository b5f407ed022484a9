"""llama.cpp in this process: opened, asked and closed."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import urlopen

import pytest

from bactrian.errors import ConfigError
from bactrian.models import llamacpp

STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260K"


@pytest.fixture
def stories() -> Path:
    pytest.importorskip("xllamacpp")
    path = STORIES / "stories260K-f32.gguf"
    if not path.is_file():
        pytest.skip("stories260K is not beside the repository")
    return path


def test_a_file_is_served_on_the_loopback(stories: Path) -> None:
    with llamacpp.serving(stories, slots=1, longest=64, exact=True) as address:
        assert address.startswith("http://127.0.0.1:")
        with urlopen(f"{address}/health", timeout=30) as reply:
            assert reply.status == 200
    assert llamacpp.named().startswith("xllamacpp 20")


def test_a_file_that_is_no_model_is_said_by_name(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF and no more")
    with (
        pytest.raises(ConfigError, match=r"llama\.cpp cannot load damaged\.gguf"),
        llamacpp.serving(path),
    ):
        pass


def test_an_adapter_that_does_not_fit_is_said_by_name(stories: Path, tmp_path: Path) -> None:
    path = tmp_path / "zh.gguf"
    path.write_bytes(b"GGUF and no more")
    with (
        pytest.raises(ConfigError, match=r"stories260K-f32\.gguf with zh\.gguf"),
        llamacpp.serving(stories, slots=1, longest=64, adapters={path: 1.0}),
    ):
        pass


@pytest.mark.parametrize(("load", "cores"), [(0.2, 8), (3.0, 5), (40.0, 1)])
def test_busy_cores_are_left_alone(
    load: float, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert llamacpp._idle() == cores
