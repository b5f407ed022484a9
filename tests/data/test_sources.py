"""English rows: ids given or made, text as it was, and what is said of rows that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.sources import digest, read
from bactrian.errors import DataError
from bactrian.schema import Example, Provenance

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS: list[dict[str, Any]] = [
    {"instruction": "Say 你好", "input": "مرحبا بالعالم", "output": "שלום 🐪 e\u0301\u200d\n\ttwo"},
    {"id": "given-7", "instruction": "Do"},
    {"id": 0, "instruction": "Do more", "input": None, "output": "x \u2028 y"},
]


def written(tmp_path: Path, rows: Any, name: str = "a.json") -> Path:
    path = tmp_path / name
    if "jsonl" in name:
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    else:
        text = json.dumps(rows, ensure_ascii=False, indent=1)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz"])
def test_rows_keep_their_text_and_get_ids(tmp_path: Path, name: str) -> None:
    provenance = Provenance(source="alpaca", licence="CC-BY-NC-4.0")
    found = list(read(written(tmp_path, ROWS, name), "alpaca", "CC-BY-NC-4.0"))
    first, given, zero = found
    assert first == Example("alpaca-0", "en", **ROWS[0], provenance=provenance)
    assert given == Example("given-7", "en", "Do", "", "", provenance)
    assert zero == Example("0", "en", "Do more", "", "x \u2028 y", provenance)


HALF = (
    'expected whole characters under "output", found half of one (\\ud83d)',
    "an emoji or a rare letter was cut in two there: mend that row",
)
SHAPE = 'each row looks like {"instruction": "…", "input": "", "output": "…"}'


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("text", "expected an object, found a text"),
        (["a"], "expected an object, found a list"),
        (3, "expected an object, found a number"),
        (None, "expected an object, found null"),
        ({"prompt": "x"}, 'expected a text under "instruction", found nothing'),
        ({"instruction": None}, 'expected a text under "instruction", found null'),
        ({"instruction": 5}, 'expected a text under "instruction", found a number'),
        ({"instruction": "x", "input": {}}, 'expected a text under "input", found an object'),
        ({"instruction": "x", "output": []}, 'expected a text under "output", found a list'),
        ({"instruction": "x", "id": True}, 'expected a text under "id", found true'),
        ({"instruction": "x", "id": 1.5}, 'expected a text under "id", found a number'),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(tmp_path: Path, row: Any, told: str) -> None:
    path = written(tmp_path, [{"instruction": "good"}, row], "a.jsonl")
    drawn = read(path, "alpaca")
    assert next(drawn).instruction == "good"
    with pytest.raises(DataError) as error:
        next(drawn)
    assert (error.value.problem, error.value.hint) == (f"{path}, line 2: {told}", SHAPE)


def test_a_row_in_an_array_is_named_by_its_line_too(tmp_path: Path) -> None:
    path = written(tmp_path, [{"instruction": "good"}, {"input": "x"}])
    with pytest.raises(DataError, match=r"a\.json, line 5: expected a text under"):
        list(read(path, "alpaca"))


def test_half_a_character_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n{"instruction": "x",\n"output": "half \\ud83d"}]', encoding="utf-8")
    with pytest.raises(DataError) as error:
        list(read(path, "alpaca"))
    assert (error.value.problem, error.value.hint) == (f"{path}, line 2: {HALF[0]}", HALF[1])
    path.write_text('[{"instruction": "\\ud83d\\udc2a"}]', encoding="utf-8")
    assert [row.instruction for row in read(path, "alpaca")] == ["🐪"]


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    one, two = written(tmp_path, ROWS, "a.json"), written(tmp_path, ROWS, "b.json")
    assert digest(one) == digest(two)
    two.write_bytes(two.read_bytes() + b"\n")
    assert digest(one) != digest(two)
    with pytest.raises(DataError, match=r"c\.json does not exist"):
        digest(tmp_path / "c.json")


def test_all_of_alpaca_is_read() -> None:
    path = SHARED / "alpaca" / "alpaca_data.json.gz"
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = json.load(file)
    found = list(read(path, "alpaca"))
    assert [row.id for row in found] == [f"alpaca-{number}" for number in range(len(expected))]
    told = [
        {"instruction": row.instruction, "input": row.input, "output": row.output} for row in found
    ]
    assert told == expected
