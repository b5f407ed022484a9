"""What is asked of the Hub, and what is said when it has nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models import base

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "copy"))


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


@pytest.mark.parametrize("revision", ["main", "0a1b2c"])
def test_the_revision_is_passed_on_and_the_commit_recorded(
    copy: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    snapshot = copy.rename(copy.with_name("0a1b2c"))
    asked = []

    def download(name: str, **told: Any) -> str:
        asked.append((name, told["revision"], told["local_files_only"]))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    loaded = base.load("some/base", revision=revision, dtype="float32")
    assert asked == [("some/base", revision, True)]
    assert (loaded.id, loaded.location.revision) == ("some/base", "0a1b2c")


def test_a_revision_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import RevisionNotFoundError

    def download(*_: Any, **__: Any) -> str:
        request = httpx.Request("GET", "https://huggingface.co/api/models/some/base")
        response: Any = httpx.Response(404, request=request)
        raise RevisionNotFoundError("no", response=response)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(ConfigError, match="base some/base at v9 could not be fetched"):
        base.locate("some/base", network=True, revision="v9")


def test_pickled_weights_are_fetched_only_where_there_are_no_others(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, *, allow_patterns: list[str], **_: Any) -> str:
        asked.append("*.bin" in allow_patterns)
        return str(copy)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    base.locate("some/base")
    assert asked == [False]
    (copy / "model.safetensors").unlink()
    base.locate("some/base")
    assert asked == [False, False, True]
