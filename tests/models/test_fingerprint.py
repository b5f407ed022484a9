"""Pieces of large files: any likely change of weights is seen, and little is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.models.fingerprint import PIECE, PIECES, fingerprint


@pytest.mark.parametrize("place", [0, 1, PIECE, PIECES * PIECE // 2, PIECES * PIECE - 1])
def test_a_small_file_is_read_whole(tmp_path: Path, place: int) -> None:
    path = tmp_path / "weights"
    data = bytearray(PIECES * PIECE)
    path.write_bytes(data)
    before = fingerprint([path])
    data[place] = 1
    path.write_bytes(data)
    assert fingerprint([path]) != before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_changed_stretch_of_a_large_file_is_seen(tmp_path: Path, share: float) -> None:
    path = tmp_path / "weights"
    size = 9 << 20
    data = bytearray(size)
    path.write_bytes(data)
    before = fingerprint([path])
    stretch = size // PIECES + PIECE
    start = int((size - stretch) * share)
    data[start : start + stretch] = b"\1" * stretch
    path.write_bytes(data)
    assert fingerprint([path]) != before


def test_name_length_and_salt_count(tmp_path: Path) -> None:
    one, other, longer = tmp_path / "a", tmp_path / "b", tmp_path / "c" / "a"
    longer.parent.mkdir()
    one.write_bytes(b"x")
    other.write_bytes(b"x")
    longer.write_bytes(b"xx")
    found = {fingerprint([path]) for path in (one, other, longer)} | {fingerprint([one], salt="2")}
    assert len(found) == 4
    assert fingerprint([one], size=6) == fingerprint([one], size=6)
    assert len(fingerprint([one], size=6)) == 12
