"""Rows on disk: what goes in comes out, damage is seen, and memory does not grow."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bactrian import table
from bactrian.errors import DataError
from bactrian.schema import Example, Flag, Provenance
from bactrian.table import Row

SAMPLES = Path(__file__).parent / "samples" / "flores_52.tsv"
GROW = """
import resource, sys
from pathlib import Path
from bactrian import table
from bactrian.schema import Example
from bactrian.table import Row
path = Path(sys.argv[1])
def peak(rows):
    made = (Row(Example(f"a-{n}", "zh", "写" * 40, "", "x" * 200)) for n in range(rows))
    table.write(path, made, "")
    assert sum(1 for _ in table.read(path)) == rows
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(20_000), peak(200_000))
"""


def rows(number: int) -> Iterator[Row]:
    for at in range(number):
        yield Row(Example(f"a-{at}", "vi", f"câu hỏi {at}", "", f"trả lời {at}"))


def full_row() -> Row:
    provenance = Provenance(
        "alpaca", "CC-BY-NC-4.0", "t:m", "ab" * 16, "c:m", "cd" * 16, "2026-01-02"
    )
    flags = (
        Flag("script", "reject", "output", "Latin script, expected Khmer", "abc", 7),
        Flag("length", "warn", "instruction", "long"),
    )
    example = Example("a-1", "km", "សួស្តី", "input", "", provenance, "no response: refused")
    return Row(example, flags)


def foreign(path: Path, **columns: list[Any]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_every_script_comes_back_as_it_was(tmp_path: Path) -> None:
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    given = [
        Row(
            Example(
                f"f-{at}", line["language"], line["text"], "\u200f\u200d\r\n\t", "🐪 \x00 é e\u0301"
            )
        )
        for at, line in enumerate(lines)
    ]
    assert len({row.example.language for row in given}) == 52
    told = table.write(tmp_path / "t.parquet", given, "made")
    assert told.rows == len(given)
    assert list(table.read(tmp_path / "t.parquet")) == given


def test_every_field_comes_back(tmp_path: Path) -> None:
    table.write(tmp_path / "t.parquet", [full_row()], "made")
    assert list(table.read(tmp_path / "t.parquet")) == [full_row()]
    assert full_row().rejected
    assert not Row(full_row().example, full_row().flags[1:]).rejected


def test_the_first_columns_are_those_of_alpaca(tmp_path: Path) -> None:
    table.write(tmp_path / "t.parquet", [full_row()], "made")
    names = parquet.read_schema(tmp_path / "t.parquet").names
    assert names[:4] == ["instruction", "input", "output", "id"]


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    told = table.write(tmp_path / "t.parquet", [], "made")
    assert told.rows == 0
    assert list(table.read(tmp_path / "t.parquet")) == []
    assert table.info(tmp_path / "t.parquet") == told


def test_the_file_says_what_it_is_made_from_and_what_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.parquet"
    facts = {"seen": 0}

    def drawn() -> Iterator[Row]:
        for row in rows(3):
            facts["seen"] += 1
            yield row

    told = table.write(path, drawn(), "made", facts)
    assert (told.rows, told.made_from, told.facts) == (3, "made", {"seen": 3})
    assert table.info(path) == told
    assert table.info(tmp_path / "absent.parquet") is None


def test_content_follows_from_the_rows_alone(tmp_path: Path) -> None:
    def content(name: str, made: list[Row], made_from: str = "made") -> str:
        return table.write(tmp_path / name, made, made_from).content

    five = list(rows(5))
    assert content("a", five) == content("b", five, "made otherwise")
    others = [five[:4], five[::-1], [*five[:4], Row(five[4].example, full_row().flags)], []]
    assert len({content("c", made) for made in [five, *others]}) == 5


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        table.write(tmp_path / name, rows(5000), "made", {"missing": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_hash_of_is_stable_and_sees_every_part() -> None:
    # pinned: a change would make every stage of every dataset run again
    assert (
        table.hash_of("sources", 1, ["ab"], {"b": 2, "a": 1}) == "190e973baf21dbe1db50868faf6f3057"
    )
    assert table.hash_of({"a": 1, "b": 2}) == table.hash_of({"b": 2, "a": 1})
    told = [("a", 1), ("a", 2), ("a", "1"), ("a",), ("a", 1, None), (["a", 1],)]
    assert len({table.hash_of(*parts) for parts in told}) == len(told)


def test_a_file_made_elsewhere_is_read(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "train.parquet",
        instruction=["做", "写"],
        input=["", None],
        output=["好", None],
        id=["alpaca-1", "alpaca-2"],
    )
    assert [row.example for row in table.read(path)] == [
        Example("alpaca-1", "", "做", "", "好"),
        Example("alpaca-2", "", "写", "", ""),
    ]
    told = table.info(path)
    assert told is not None
    assert (told.rows, told.facts) == (2, {})
    other = foreign(tmp_path / "b.parquet", instruction=["x"], output=["y"], id=[7])
    assert [row.example.id for row in table.read(other)] == ["7"]
    again = table.info(other)
    assert again is not None
    assert again.content != told.content


def test_a_file_without_instructions_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "x.parquet", id=["1"], text=["hello"])
    with pytest.raises(DataError, match=r"x\.parquet has no column instruction"):
        list(table.read(path))


def damaged(path: Path, how: str) -> None:
    table.write(path, rows(2000), "made")
    data = bytearray(path.read_bytes())
    if how == "text":
        data = bytearray(b"instruction,input,output\n" * 9)
    elif how == "empty":
        data = bytearray()
    elif how == "cut":
        data = data[: len(data) // 2]
    elif how == "footer":
        data[-12:-8] = b"\xff" * 4
        data[-300:-100] = b"\xff" * 200
    else:
        data[len(data) // 4] ^= 1  # one bit, in the text of the rows
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["text", "empty", "cut", "footer", "bit"])
def test_damage_is_seen_and_the_file_named(tmp_path: Path, how: str) -> None:
    path = tmp_path / "t.parquet"
    damaged(path, how)
    with pytest.raises(DataError, match=r"t\.parquet is not a whole Parquet file: .*\S") as told:
        list(table.read(path))
    assert "\n" not in told.value.problem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.parquet does not exist"):
        list(table.read(tmp_path / "t.parquet"))


def test_half_a_character_is_refused_and_nothing_written(tmp_path: Path) -> None:
    torn = Row(Example("a-7", "vi", "ok", "", "half \ud83d"))
    with pytest.raises(DataError, match=r"row 'a-7' holds half of a character .* in output"):
        table.write(tmp_path / "t.parquet", [*rows(3), torn], "made")
    assert list(tmp_path.iterdir()) == []


def test_rows_that_break_off_leave_the_table_before(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table.write(path, rows(3), "before")

    def breaking() -> Iterator[Row]:
        yield from rows(5000)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        table.write(path, breaking(), "after")
    told = table.info(path)
    assert told is not None
    assert told.made_from == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROW, str(tmp_path / "t.parquet")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    few, many = map(int, done.stdout.split())  # KiB
    # 180,000 more rows are some 60 MB of text alone
    assert many - few < 16 * 1024, f"{few} KiB for 20,000 rows, {many} KiB for 200,000"
