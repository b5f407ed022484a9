"""What was trained lands beside whatever else is in the folder, and nothing of that is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bactrian.cli.original.lay import lay, must_be_free
from bactrian.errors import ConfigError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    output = tmp_path / "out"
    made, work = output / "work" / "adapters" / "x", output / "work"
    made.mkdir(parents=True)
    (made / "adapter_config.json").write_text("{}", encoding="utf-8")
    (made / "adapter_model.safetensors").write_bytes(b"first")
    (output / "mine.txt").write_text("kept", encoding="utf-8")
    return made, output, work


def files(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}


def test_files_land_and_others_stay(folders: tuple[Path, Path, Path]) -> None:
    made, output, work = folders
    assert lay(made, output, work) == ("adapter_config.json", "adapter_model.safetensors")
    assert files(output) == {
        "adapter_config.json": b"{}",
        "adapter_model.safetensors": b"first",
        "mine.txt": b"kept",
    }
    must_be_free(output, work)


def test_a_second_adapter_takes_the_place_of_the_first(folders: tuple[Path, Path, Path]) -> None:
    made, output, work = folders
    lay(made, output, work)
    for path in made.iterdir():
        path.unlink()
    (made / "model.safetensors").write_bytes(b"second")
    lay(made, output, work)
    assert files(output) == {"model.safetensors": b"second", "mine.txt": b"kept"}


def test_where_the_disk_cannot_link_files_are_copied(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, output, work = folders

    def refused(*_: object) -> None:
        raise OSError("cross-device")

    monkeypatch.setattr(os, "link", refused)
    lay(made, output, work)
    assert files(output)["adapter_model.safetensors"] == b"first"
    assert not (output / "adapter_model.safetensors").samefile(made / "adapter_model.safetensors")


def test_a_model_from_elsewhere_is_not_touched(folders: tuple[Path, Path, Path]) -> None:
    _, output, work = folders
    (output / "model.safetensors").write_bytes(b"theirs")
    with pytest.raises(ConfigError, match="was not made there by this command"):
        must_be_free(output, work)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch()
    with pytest.raises(ConfigError, match="is a file"):
        must_be_free(path, path / "work")
