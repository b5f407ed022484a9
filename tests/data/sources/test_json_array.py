"""An array of any length: the same values as json.load, in memory that does not grow with it."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.sources import json_array
from bactrian.data.sources.json_array import array, holds_objects
from bactrian.data.sources.record import Record

ALPACA = Path(__file__).parents[3].parent / "shared" / "data" / "alpaca" / "alpaca_data.json.gz"
PATH = Path("a.json")
VALUES: list[Any] = [
    {"instruction": "Say 你好", "n": [1, -2.5e-3, {"deep": [None, True, False]}]},
    '🐪 \\ud83d " \\\\ \u2028 e\u0301',
    -1.5e10,
    12345678,
    float("-inf"),
    {},
    [],
    "",
    None,
]


def read(text: str) -> list[Record]:
    return list(array(io.BytesIO(text.encode()), PATH))


@pytest.mark.parametrize("window", [1, 2, 3, 5, 16, 1000])
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_cut_anywhere_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, window: int, escaped: bool, indent: int | None
) -> None:
    text = json.dumps(VALUES, ensure_ascii=escaped, indent=indent)
    whole = read(text)
    assert [record.value for record in whole] == VALUES
    monkeypatch.setattr(json_array, "CHUNK", window)
    assert read(text) == whole


@pytest.mark.parametrize("window", [1, 7, 1 << 18])
def test_lines_are_those_on_which_elements_begin(
    monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(json_array, "CHUNK", window)
    assert [record.line for record in read('\n[1, 2,\n{"a":\n[3]}, 4\n,\n\n5]\n')] == [
        2,
        2,
        3,
        4,
        7,
    ]


def test_memory_does_not_grow_with_the_file() -> None:
    row = json.dumps({"instruction": "中文 " * 50, "output": "x" * 200}, ensure_ascii=False)

    def peak(rows: int) -> int:
        file = io.BytesIO(f"[{','.join([row] * rows)}]".encode())
        tracemalloc.start()
        try:
            assert sum(1 for _ in array(file, PATH)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(3_000), peak(30_000)  # 1.5 MB and 15 MB
    assert many < few + 100_000
    assert many < 5_000_000


def test_a_long_row_is_not_parsed_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0
    decode = json.JSONDecoder().raw_decode

    class Counting:
        def raw_decode(self, text: str, at: int) -> tuple[Any, int]:
            nonlocal attempts
            attempts += 1
            return decode(text, at)

    monkeypatch.setattr(json_array, "CHUNK", 16)
    monkeypatch.setattr(json_array, "DECODER", Counting())
    assert read(json.dumps(["x" * 1_000_000]))[0].value == "x" * 1_000_000
    assert attempts < 25  # doubled each time


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"a": 1}\n{"a": 2}', True),
        ('\ufeff\n{"a":\n 1}\n\n{', True),
        ('{"a": 1}{"a": 2}', False),
        ('{"a": 1}\n', False),
        ('{"a": 1}\n[', False),
        ("[1]\n[2]", False),
        ('{"a" 1}\n{', False),
        ("", False),
    ],
)
def test_one_object_a_line_is_told_from_an_array(text: str, lines: bool) -> None:
    assert holds_objects(io.BytesIO(text.encode()), PATH) is lines


def test_all_of_alpaca_is_what_json_load_reads() -> None:
    if not ALPACA.exists():
        pytest.skip(f"real data is not beside the repository: {ALPACA.name}")
    data = gzip.decompress(ALPACA.read_bytes())
    found = list(array(io.BytesIO(data), PATH))
    assert [record.value for record in found] == json.loads(data)
    assert [record.line for record in found] == [2 + 5 * number for number in range(52_002)]
