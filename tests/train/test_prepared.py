"""Rows of several files under one index: right, read-only, and the same in another process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.train.cache import write
from bactrian.train.encoding import Encoded, Fate
from bactrian.train.prepared import File, Prepared, in_memory, open_files

np = pytest.importorskip("numpy")
pytest.importorskip("pyarrow")

WHOLE: Fate = "whole"
Row = tuple[list[int], int]
ROWS: dict[str, list[list[Row]]] = {
    "zh": [[([1, 2, 3], 1), ([4, 5], 1)], [([6, 7, 8, 9], 3)]],
    "km": [],
    "vi": [[([10, 11], 0)], [([12, 13, 14], 2), ([15] * 40, 20)]],
}
FLAT = [(code, *row) for code, groups in ROWS.items() for group in groups for row in group]


def encoded(rows: Sequence[Row], left_out: tuple[Fate, ...] = ()) -> Encoded:
    return Encoded(
        np.array([token for ids, _ in rows for token in ids], dtype=np.int32),
        np.array([len(ids) for ids, _ in rows], dtype=np.int32),
        np.array([prompt for _, prompt in rows], dtype=np.int32),
        (*(WHOLE for _ in rows), *left_out),
    )


@pytest.fixture
def files(tmp_path: Path) -> list[File]:
    made = []
    for code, groups in ROWS.items():
        file = File(code, tmp_path / f"{code}.arrow", f"key of {code}")
        left: tuple[Fate, ...] = ("too_long", "too_long", "empty") if code == "km" else ()
        write(file.path, file.key, [encoded(group) for group in groups] + [encoded([], left)])
        made.append(file)
    return made


@pytest.fixture
def prepared(files: list[File]) -> Prepared:
    return open_files(files)


def told(prepared: Prepared) -> list[tuple[str, list[int], int]]:
    found = []
    for index in range(len(prepared)):
        ids, prompt, language = prepared.row(index)
        found.append((prepared.names[language], ids.tolist(), prompt))
    return found


def test_rows_are_those_of_the_files_in_order(prepared: Prepared) -> None:
    assert told(prepared) == FLAT
    assert prepared.names == ("zh", "vi"), "a language without a row has no name"
    assert prepared.lengths.tolist() == [len(ids) for _, ids, _ in FLAT]
    assert prepared.too_long == {"km": 2}
    assert prepared.empty == {"km": 1}
    assert prepared.shortened == {}
    kinds = [prepared.languages.dtype, prepared.prompts.dtype, prepared.lengths.dtype]
    assert kinds == ["int16", "int32", "int32"]
    assert prepared.row(0)[0].dtype == np.int32


def test_an_index_may_be_numpys_own(prepared: Prepared) -> None:
    order = np.array([5, 0], dtype=np.int32)
    assert [prepared.row(index)[1] for index in order] == [20, 1]
    with pytest.raises(IndexError):
        prepared.row(len(prepared))


def test_ids_are_views_of_the_file_and_cannot_be_changed(prepared: Prepared) -> None:
    ids, _, _ = prepared.row(3)
    assert not ids.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1


def test_a_copy_for_another_process_opens_the_files_itself(prepared: Prepared) -> None:
    sent = pickle.dumps(replace(prepared, train_on_inputs=True))
    assert bytes(np.array([15] * 40, dtype=np.int32)) not in sent, "no ids travel"
    copy = pickle.loads(sent)
    assert told(copy) == FLAT
    assert copy.train_on_inputs
    assert copy.targets.tolist() == [len(ids) - 1 for _, ids, _ in FLAT]
    assert copy.key == prepared.key


def test_rows_in_memory_travel_themselves() -> None:
    groups = [encoded([([1, 2], 1), ([3], 0)]), encoded([([4, 5, 6], 1)])]
    found = in_memory(groups, ["vi", "zh", "vi"], {"zh": 1}, {})
    expected = [("vi", [1, 2], 1), ("zh", [3], 0), ("vi", [4, 5, 6], 1)]
    assert told(found) == told(pickle.loads(pickle.dumps(found))) == expected
    assert found.names == ("vi", "zh")
    assert found.too_long == {"zh": 1}


@pytest.mark.parametrize(
    ("settings", "firsts"),
    [
        ({}, [1, 1, 3, 1, 2, 20]),
        ({"train_on_inputs": True}, [1, 1, 1, 1, 1, 1]),
        ({"encoder_decoder": True}, [1, 1, 3, 0, 2, 20]),
    ],
)
def test_tokens_with_a_loss(files: list[File], settings: Any, firsts: list[int]) -> None:
    found = open_files(files, **settings)
    lengths = [len(ids) for _, ids, _ in FLAT]
    assert found.firsts.tolist() == firsts
    assert found.targets.tolist() == [a - b for a, b in zip(lengths, firsts, strict=True)]
    assert found.targets.dtype == np.int32


def test_the_key_follows_files_and_losses(files: list[File]) -> None:
    keys = {
        open_files(files).key,
        open_files(files, train_on_inputs=True).key,
        open_files(files[::-1]).key,
        open_files(files[:1]).key,
    }
    assert len(keys) == 4
    assert open_files(files).key in keys


def test_a_file_that_is_gone_or_another_is_told(files: list[File]) -> None:
    with pytest.raises(DataError, match=r"zh\.arrow is gone, or is not what"):
        open_files([replace(files[0], key="other")])
    files[2].path.unlink()
    with pytest.raises(DataError, match=r"vi\.arrow is gone"):
        open_files(files)


def test_more_rows_than_one_block_counts_right(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    groups, flat = [], []
    for _ in range(30):
        rows: list[Row] = [
            (chance.integers(0, 99, size).tolist(), 1) for size in chance.integers(2, 50, 40)
        ]
        groups.append(encoded(rows))
        flat += [("de", *row) for row in rows]
    write(tmp_path / "de", "key", groups)
    assert told(open_files([File("de", tmp_path / "de", "key")])) == flat
