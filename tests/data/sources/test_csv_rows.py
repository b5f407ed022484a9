"""CSV and TSV: quoted line breaks, marks, long fields, and rows that are none."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from bactrian.data.sources.csv_rows import rows, tab_rows
from bactrian.data.sources.record import Record
from bactrian.errors import DataError

PATH = Path("a.csv")
TEXTS = [
    "plain",
    'a "quote", a comma',
    "two\nlines\r\nand\ttab",
    "中文，逗号",
    "عربي",
    "",
    "\u2028 ",
]


def read(text: str) -> list[Record]:
    return list(rows(io.BytesIO(text.encode()), PATH))


def problem_of(text: str) -> str:
    with pytest.raises(DataError) as told:
        read(text)
    assert told.value.hint
    return told.value.problem


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_what_is_written_is_read(end: str, mark: str, delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow(["instruction", " output "])
    writer.writerows([text, text[::-1]] for text in TEXTS)
    data = io.BytesIO((mark + file.getvalue()).encode())
    found = list((tab_rows if delimiter == "\t" else rows)(data, PATH))
    told = [{"instruction": text, "output": text[::-1]} for text in TEXTS]
    assert [record.value for record in found] == told


def test_a_row_has_the_line_on_which_it_begins() -> None:
    found = read('a,b\n1,"x\ny\nz"\n\n2,3\n')
    assert [(record.line, record.value["a"]) for record in found] == [(2, "1"), (6, "2")]


def test_an_answer_may_be_longer_than_the_modules_limit() -> None:
    assert read(f"a\n{'字' * 200_000}\n")[0].value["a"] == "字" * 200_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n3\n", "line 3: expected 2 fields, as the first row has, found 1"),
        ("a\n1,2\n", "line 2: expected 1 field, as the first row has, found 2"),
        ("a,b,a\n", "line 1: expected the names of the columns, each once, found 'a' 2 times"),
        ("a,\n", "line 1: expected the names of the columns, each once, found '' 1 times"),
        ('a\nx\n"y\n', "line 3: this row is no CSV: unexpected end of data"),
    ],
)
def test_what_is_no_row_is_named_by_its_line(text: str, told: str) -> None:
    assert problem_of(text) == f"a.csv, {told}"


def test_bytes_that_are_no_utf8_are_named() -> None:
    with pytest.raises(DataError, match="line 2, column 3: expected UTF-8, found the byte 0xe9"):
        list(rows(io.BytesIO(b"a,b\n1,\xe9\n"), PATH))


def test_an_empty_file_has_no_rows() -> None:
    assert read("") == []
    assert read("a,b\n") == []
