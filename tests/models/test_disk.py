"""A full disk is one error, whichever library met it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

pytest.importorskip("safetensors")

from safetensors import SafetensorError

from bactrian.errors import RunError
from bactrian.models.disk import writing

FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
]
OTHER = [OSError(errno.EACCES, "no"), SafetensorError("invalid header"), RuntimeError("shapes")]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_is_told_with_the_place(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(RunError, match="no space left") as caught, writing(tmp_path / "here"):
        raise error
    assert str(tmp_path / "here") in caught.value.problem


@pytest.mark.parametrize("error", OTHER, ids=lambda error: type(error).__name__)
def test_every_other_error_keeps_its_kind(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path):
        raise error
    assert caught.value is error


def test_what_the_libraries_say_on_a_full_device_is_known() -> None:
    torch = pytest.importorskip("torch")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(RunError, match="no space left"), writing(full):
        torch.save({"weights": torch.zeros(1 << 20)}, full)
