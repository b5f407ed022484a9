"""What is told of trainings that were stopped, and what is left of those that never began."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.train import unfinished


def begun(folder: Path, told: dict[str, object]) -> Path:
    unfinished.note(folder, told)
    (folder / "checkpoint-2").mkdir()
    return folder


def test_what_differs_is_told_key_by_key(tmp_path: Path) -> None:
    begun(tmp_path / "a", {"seed": 0, "train": {"lora": {"rank": 4}, "prompt": "bactrian"}})
    now = {"seed": 0, "train": {"lora": {"rank": 8}, "prompt": "alpaca", "clip": 1.0}}
    (said,) = unfinished.others(tmp_path / "b", now)
    assert "train.clip unset, now 1.0; train.lora.rank 4, now 8; " in said
    assert "train.prompt bactrian, now alpaca" in said
    assert "seed" not in said
    assert str(tmp_path / "a") in said


def test_its_own_folder_is_no_other(tmp_path: Path) -> None:
    begun(tmp_path / "a", {"seed": 1})
    assert list(unfinished.others(tmp_path / "a", {"seed": 1})) == []


def test_without_a_checkpoint_there_is_nothing_to_tell_of(tmp_path: Path) -> None:
    unfinished.note(tmp_path / "a", {"seed": 1})
    assert list(unfinished.others(tmp_path / "b", {"seed": 2})) == []


@pytest.mark.parametrize("damage", ["gone", "no json"])
def test_a_note_that_cannot_be_read_is_told_too(tmp_path: Path, damage: str) -> None:
    note = begun(tmp_path / "a", {"seed": 1}) / unfinished.TOLD
    note.unlink() if damage == "gone" else note.write_text("{")
    (said,) = unfinished.others(tmp_path / "b", {"seed": 2})
    assert "it does not say what" in said


def test_long_values_are_cut_where_a_reader_sees_it(tmp_path: Path) -> None:
    begun(tmp_path / "a", {"rows": "ก" * 99})
    (said,) = unfinished.others(tmp_path / "b", {"rows": "x"})
    assert f"rows {'ก' * 39}…, now x" in said


def test_a_training_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".toy.training" / "hash"
    unfinished.note(folder, {})
    with pytest.raises(KeyboardInterrupt), unfinished.tidied(folder):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_can_be_gone_on_from_is_kept(tmp_path: Path) -> None:
    folder = begun(tmp_path / ".toy.training" / "hash", {})
    other = begun(tmp_path / ".toy.training" / "other", {})
    with pytest.raises(ValueError, match="broken"), unfinished.tidied(folder):
        raise ValueError("broken")
    assert folder.is_dir()
    with pytest.raises(ValueError, match="broken"), unfinished.tidied(tmp_path / "gone" / "x"):
        raise ValueError("broken")
    assert other.is_dir()
