"""The table of items: what was written is read again, and what is no such table is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.answered import Answered, Question
from bactrian.evaluate.items import NAME, read_items, write_items

QUESTIONS = (
    Question("1", "aa", 0, "natural", "p1", (2, 3), (2, 9)),
    Question("kysymys 2", "bb", 1, "", "et\nkysymys 2", (4, 4), (4, 4)),
)
CHOICE = Answered(
    "exams", "et", "acc", "task:exams", QUESTIONS,
    {"base": ((-1.5, -2.25), (-0.1, -3.0)), "ไทย": ((-1.0, -2.0), (-4.0, -3.0))},
)  # fmt: skip
LABEL = Answered(
    "sentiment", "ja", "f1", "task:sentiment", QUESTIONS[:1], {"base": ((-1.0, -2.0),)},
    ("否定", "肯定"), {"base": (-0.5, -0.25)},
)  # fmt: skip
TEXT = Answered(
    "held-out", "vi", "bits_per_byte", "s",
    (Question("a", "cc", 0, "", "a", (5,), (9,)),), {"base": ((-12.125,),)},
)  # fmt: skip


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = write_items(tmp_path / NAME, [CHOICE, LABEL, TEXT])
    assert read_items(path) == (CHOICE, LABEL, TEXT)


def test_the_same_answers_are_the_same_bytes(tmp_path: Path) -> None:
    one = write_items(tmp_path / "one", [CHOICE, TEXT]).read_bytes()
    assert write_items(tmp_path / "two", [CHOICE, TEXT]).read_bytes() == one
    other = replace(CHOICE, nats={**CHOICE.nats, "base": ((-1.5, -2.5), (-0.1, -3.0))})
    assert write_items(tmp_path / "three", [other, TEXT]).read_bytes() != one


def test_a_task_without_items_is_still_told_of(tmp_path: Path) -> None:
    empty = replace(CHOICE, questions=(), nats={})
    assert read_items(write_items(tmp_path / NAME, [empty])) == (empty,)


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with pytest.raises(DataError, match="does not exist"):
        read_items(path)
    write_items(path, [CHOICE])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole Parquet file") as caught:
        read_items(path)
    assert "bactrian eval" in caught.value.hint
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="not of this version"):
        read_items(path)
