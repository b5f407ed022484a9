"""A file of ids is whole or not used, and is read where it lies."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import RunError
from bactrian.train.cache import Blocks, Counts, read, write
from bactrian.train.encoding import Encoded, Fate

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

WHOLE: Fate = "whole"


def encoded(*rows: list[int], fates: tuple[Fate, ...] = ()) -> Encoded:
    """Return a group of rows whose prompts are one token long."""
    return Encoded(
        np.array([token for row in rows for token in row], dtype=np.int32),
        np.array([len(row) for row in rows], dtype=np.int32),
        np.ones(len(rows), dtype=np.int32),
        fates or tuple(WHOLE for _ in rows),
    )


GROUPS = [
    encoded([1, 2, 3], [4, 5], fates=("whole", "empty", "shortened")),
    encoded(fates=("too_long", "empty")),
    encoded([6, 70, 8, 9]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "ids" / "zh.arrow"
    write(found, "key", GROUPS)
    return found


def opened(path: Path, key: str = "key") -> Blocks:
    found = read(path, key)
    assert found is not None
    return found


def test_what_was_written_is_read(path: Path) -> None:
    found = opened(path)
    assert [ids.tolist() for ids in found.ids] == [[1, 2, 3, 4, 5], [6, 70, 8, 9]]
    assert found.rows == (2, 1)
    assert found.lengths.tolist() == [3, 2, 4]
    assert found.prompts.tolist() == [1, 1, 1]
    assert found.lengths.dtype == found.prompts.dtype == found.ids[0].dtype == np.int32
    assert found.counts == Counts(6, 3, 9, 70, shortened=1, too_long=1, empty=2)
    assert write(path, "key", GROUPS) == found.counts


def test_nothing_is_copied(path: Path) -> None:
    before = pa.total_allocated_bytes()
    found = opened(path)
    assert pa.total_allocated_bytes() == before
    assert not found.ids[0].flags.writeable
    assert not found.ids[0].flags.owndata


def test_the_same_rows_make_the_same_bytes(path: Path) -> None:
    told = path.read_bytes()
    write(path, "key", iter(GROUPS))
    assert path.read_bytes() == told


def test_a_language_without_a_row_is_a_file_as_well(tmp_path: Path) -> None:
    for place, groups in enumerate(([], [encoded(fates=("empty",))])):
        counts = write(tmp_path / f"{place}", "key", groups)
        found = opened(tmp_path / f"{place}")
        assert (found.ids, found.rows, found.counts) == ((), (), counts)
        assert len(found.lengths) == counts.rows == 0
        assert counts.read == counts.empty == place


def test_another_key_another_layout_and_no_file_are_not_used(path: Path) -> None:
    assert read(path, "other") is None
    assert read(path.with_name("no.arrow"), "key") is None
    assert read(path.parent, "key") is None


def test_a_file_that_is_cut_anywhere_is_not_used(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 16):
        path.write_bytes(whole[:length])
        assert read(path, "key") is None, length
    path.write_bytes(whole)
    assert read(path, "key") is not None


@pytest.mark.parametrize("foreign", [b"", b"not arrow", b"ARROW1\0\0" + b"\0" * 64 + b"ARROW1"])
def test_a_file_made_elsewhere_is_not_used(path: Path, foreign: bytes) -> None:
    path.write_bytes(foreign)
    assert read(path, "key") is None


def test_an_arrow_file_without_counts_or_with_others_is_not_used(path: Path) -> None:
    with pa.ipc.open_file(path) as file:
        schema, batches = file.schema, [file.get_batch(place) for place in range(3)]
        last, about = file.get_batch_with_custom_metadata(2)
    path = path.with_name("own.arrow")

    def rewritten(kept: list[Any], told: Any) -> Blocks | None:
        with pa.ipc.new_file(path, schema) as made:
            for batch in kept:
                made.write_batch(batch)
            made.write_batch(last, custom_metadata=told)
        return read(path, "key")

    assert rewritten(batches[:2], about) is not None
    assert rewritten(batches[:1], about) is None, "a batch is lacking"
    assert rewritten(batches[:2], None) is None
    assert rewritten(batches[:2], {"bactrian": b"{}"}) is None
    assert rewritten(batches[:2], {"bactrian": b"not JSON"}) is None
    with pa.ipc.new_file(path, schema):
        pass
    assert read(path, "key") is None, "no batch at all"


def test_a_writer_that_dies_leaves_what_was_there(path: Path) -> None:
    told = path.read_bytes()

    def dying() -> Iterator[Encoded]:
        yield GROUPS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, "key", dying())
    assert path.read_bytes() == told
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_told_and_leaves_nothing(path: Path) -> None:
    def filling() -> Iterator[Encoded]:
        yield GROUPS[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    path.unlink()
    with pytest.raises(RunError, match=r"no space left .*zh\.arrow"):
        write(path, "key", filling())
    assert list(path.parent.iterdir()) == []


def test_arrow_says_that_a_disk_is_full_in_a_way_that_is_known() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as caught, pa.OSFile(str(full), "wb") as sink:
        sink.write(b"x" * (1 << 20))
    assert caught.value.errno == errno.ENOSPC


def test_fates_that_do_not_add_up_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="one fate"):
        write(tmp_path / "a", "key", [encoded([1], fates=("empty",))])
