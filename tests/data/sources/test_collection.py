"""One collection: ids given or made, languages, places, and what the rows follow from."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.sources.collection import Collection, Read, collections_of
from bactrian.errors import ConfigError, DataError, LanguageError
from bactrian.events import Event, reading
from bactrian.schema import Example, Provenance
from bactrian.workspace import Workspace

MakeProject = Callable[..., Workspace]
SHARED = Path(__file__).parents[3].parent / "shared" / "data"
ROWS: list[dict[str, Any]] = [
    {"instruction": "Say 你好", "input": "مرحبا", "output": "שלום 🐪 e\u0301\u200d\n\ttwo"},
    {"id": "given-7", "instruction": "Do", "output": ""},
    {"id": 0, "instruction": "Do more", "input": "", "output": "x \u2028 y"},
    {"id": "12", "instruction": "Do less", "input": "", "output": "z"},
]


@pytest.fixture
def make(make_project: MakeProject) -> Callable[..., Collection]:
    """Return a maker of collections ``mine``: a file's name, its rows, keys of the source."""

    def collection(name: str = "a.json", rows: Any = ROWS, **source: Any) -> Collection:
        told = {"mine": {"files": [name], **source}}
        workspace = make_project(0, sources=told)
        if rows is not None:
            write(workspace.root / name, rows)
        return collections_of(workspace)[0]

    return collection


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".parquet" in path.name:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        columns = {key for row in rows for key in row}
        whole = [{**dict.fromkeys(columns), **row, "id": str(row.get("id", ""))} for row in rows]
        parquet.write_table(pa.Table.from_pylist(whole), path)
        return
    if ".csv" in path.name:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "instruction", "input", "output"])
            writer.writeheader()
            writer.writerows(rows)
        return
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "\n".join(lines) if "jsonl" in path.name else json.dumps(rows, indent=1)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith("gz") else text.encode())


def read(collection: Collection) -> list[Read]:
    return list(collection.read(verify=True).rows)


@pytest.mark.parametrize(
    "name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet", "f/a.json"]
)
def test_every_container_gives_the_same_examples(
    make: Callable[..., Collection], name: str
) -> None:
    provenance = Provenance(source="mine", licence="CC-BY-NC-4.0")
    told = make(name, licence="CC-BY-NC-4.0")
    found = [row.example for row in read(told)]
    first = (ROWS[0]["instruction"], ROWS[0]["input"], ROWS[0]["output"])
    assert found == [
        Example("mine-0", "en", first[0], first[1], first[2], provenance),
        Example("given-7", "en", "Do", "", "", provenance),
        Example("mine-0", "en", "Do more", "", "x \u2028 y", provenance),
        Example("mine-12", "en", "Do less", "", "z", provenance),
    ]


def test_rows_are_numbered_through_all_files(make_project: MakeProject) -> None:
    workspace = make_project(0, sources={"mine": {"files": ["b.json", "f"]}})
    row = {"instruction": "x"}
    write(workspace.root / "b.json", [row, row])
    write(workspace.root / "f" / "1.jsonl", [row, {**row, "id": "own"}])
    write(workspace.root / "f" / "2.jsonl", [row])
    found = [one.example.id for one in read(collections_of(workspace)[0])]
    assert found == ["mine-0", "mine-1", "mine-2", "own", "mine-4"]


@pytest.mark.parametrize(
    ("name", "place"),
    [("a.json", "line 7"), ("a.jsonl", "line 2"), ("a.csv", "line 3"), ("a.parquet", "row 2")],
)
def test_a_row_has_a_place(make: Callable[..., Collection], name: str, place: str) -> None:
    rows = [{"instruction": "x", "input": "", "output": "y"}] * 2
    assert read(make(name, rows))[1].place.endswith(f"{name}, {place}")


def test_a_row_that_is_none_is_named_by_its_place(make: Callable[..., Collection]) -> None:
    good = {"instruction": "good"}
    rows = read_until(make("a.jsonl", [good, {"instruction": 5}]).read(verify=True).rows)
    assert rows == (1, 'a.jsonl, line 2: expected a text under "instruction", found a number')
    for value, found in (("x", "a text"), (["x"], "a list"), (3, "a number"), (None, "null")):
        told = make("a.jsonl", [good, value])
        rows = read_until(told.read(verify=True).rows)
        assert rows == (1, f"a.jsonl, line 2: expected an object, found {found}")
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: expected an object, found a number"):
        read(make("a.jsonl", [1, 2]))


def read_until(rows: Any) -> tuple[int, str]:
    """Return how many rows were good, and the problem without the folder."""
    good = 0
    with pytest.raises(DataError) as told:
        for _ in rows:
            good += 1
    assert told.value.hint == (
        'each row looks like {"instruction": "…", "input": "", "output": "…"}'
    )
    return good, told.value.problem.rpartition("/")[2]


def test_half_a_character_is_refused_with_its_place(make: Callable[..., Collection]) -> None:
    told = make("a.json", None)
    told.files[0].write_text('[\n{"instruction": "x",\n"output": "half \\ud83d"}]', "utf-8")
    with pytest.raises(DataError) as error:
        read(told)
    problem = 'line 2: expected whole characters under "output", found half of one (\\ud83d)'
    assert error.value.problem.endswith(problem)
    assert error.value.hint == "an emoji or a rare letter was cut in two there: mend that row"
    told.files[0].write_text('[{"instruction": "\\ud83d\\udc2a"}]', "utf-8")
    assert [one.example.instruction for one in read(told)] == ["🐪"]


def test_each_row_is_identified_where_the_recipe_says_so(make: Callable[..., Collection]) -> None:
    texts = ["给出三个保持健康的秘诀。", "Give three tips for staying healthy.", "3 + 4 = ?"]
    told = make(rows=[{"instruction": text} for text in texts], language="auto")
    found = read(told)
    assert [one.example.language for one in found] == ["zh", "en", ""]
    assert [one.set_aside for one in found] == [
        "",
        "",
        "its language cannot be told: there are no words",
    ]
    assert [one.example.id for one in found] == ["mine-0", "mine-1", "mine-2"]


def test_a_conversation_without_a_question_is_set_aside(make: Callable[..., Collection]) -> None:
    rows = [{"conversations": [{"from": "gpt", "value": "x"}]}]
    (found,) = read(make(rows=rows, language="zh"))
    assert (found.set_aside, found.example.language) == ("the conversation has no question", "zh")


@pytest.mark.parametrize(
    ("source", "language"),
    [
        ({}, "en"),
        ({"language": "Chinese"}, "zh"),
        ({"language": "zh", "subset": "id"}, "zh"),
        ({"subset": "id"}, "id"),
        ({"subset": "default"}, "en"),
        ({"language": "auto", "subset": "id"}, "auto"),
    ],
)
def test_the_language_is_named_or_the_subsets_or_english(
    make_project: MakeProject, source: dict[str, str], language: str
) -> None:
    texts: list[str] = []

    class Reader:
        def see(self, event: Event) -> None:
            texts.append(event.facts["text"])

    with reading(Reader()):
        workspace = make_project(0, sources={"mine": {"hub": "a/b", **source}})
        assert collections_of(workspace)[0].language == language
    said = ["mine: the rows are Indonesian, as the subset says"] if language == "id" else []
    assert texts == said


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ({}, "the recipe names no sources"),
        ({"x": {}}, "[sources.x] names neither files nor hub"),
        ({"x": {"files": ["a.json"], "hub": "a/b"}}, "[sources.x] names both files and hub"),
        ({"x y": {"files": ["a.json"]}}, "[sources.'x y']: the name begins ids"),
    ],
)
def test_contradictions_are_said(
    make_project: MakeProject, sources: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as told:
        collections_of(make_project(0, sources=sources))
    assert told.value.problem == problem
    with pytest.raises(LanguageError, match='unknown language "jp"'):
        collections_of(make_project(0, sources={"x": {"hub": "a/b", "language": "jp"}}))


def test_the_hub_is_not_asked_unless_the_recipe_says_so(make_project: MakeProject) -> None:
    told = collections_of(make_project(0, sources={"x": {"hub": "a/b"}}))[0]
    assert told.made_from()  # finished work is recognised without the network
    with pytest.raises(ConfigError, match="needs the network"):
        read(told)


def test_what_the_rows_follow_from(make: Callable[..., Collection]) -> None:
    plain = make().made_from()
    assert make().made_from() == plain
    for source in ({"shape": "alpaca"}, {"language": "zh"}, {"licence": "MIT"}):
        assert make(**source).made_from() != plain
    assert make(rows=ROWS[:1]).made_from() != plain


def test_an_empty_file_is_said(make: Callable[..., Collection]) -> None:
    texts: list[str] = []

    class Reader:
        def see(self, event: Event) -> None:
            texts.append(f"{event.kind}: {event.facts['text']}")

    with reading(Reader()):
        assert read(make(rows=[])) == []
    assert texts == ["warning: mine holds no rows"]


def test_all_of_alpaca_is_read(make_project: MakeProject) -> None:
    path = SHARED / "alpaca" / "alpaca_data.json.gz"
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = json.load(file)
    workspace = make_project(0, sources={"alpaca": {"files": [str(path)]}})
    found = [one.example for one in read(collections_of(workspace)[0])]
    assert [row.id for row in found] == [f"alpaca-{number}" for number in range(52_002)]
    told = [
        {"instruction": row.instruction, "input": row.input, "output": row.output} for row in found
    ]
    assert told == expected
