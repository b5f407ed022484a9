"""Rows that are in their language already become a dataset, and nobody is asked for anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bactrian import table
from bactrian.data.build import build
from bactrian.data.collect import collect
from bactrian.data.own import own_rows
from bactrian.errors import DataError
from bactrian.languages import get
from bactrian.workspace import Workspace, open_workspace

CODES = ("en", "zh", "km")


@pytest.fixture
def place(tmp_path: Path, sentences: Mapping[str, Sequence[str]]) -> Path:
    """Three languages with one id beyond the others each; one row of each has no output."""
    folder = tmp_path / "bx"
    folder.mkdir()
    sources = []
    for number, code in enumerate(CODES):
        texts = sentences[code]
        rows = [
            {"instruction": text, "input": "", "id": f"alpaca-{at}", "output": texts[at - 1]}
            for at, text in enumerate(texts)
        ]
        rows += [{"instruction": texts[0], "id": f"only-{number}", "output": texts[1]}]
        rows += [{"instruction": texts[2], "id": "alpaca-9", "output": ""}]
        (folder / f"{code}.json").write_text(json.dumps(rows), encoding="utf-8")
        sources.append(f'[sources.{code}]\nfiles = ["bx"]\nsubset = "{code}"\n')
    head = f'name = "x"\nlanguages = "{",".join(CODES)}"\n'
    tail = '[check]\nnames = ["empty"]\n[build]\nvalidation = 2\n'
    (tmp_path / "recipe.toml").write_text(head + "".join(sources) + tail, encoding="utf-8")
    return tmp_path


def made(place: Path, *overrides: str) -> Workspace:
    workspace = open_workspace(place, overrides)
    collect(workspace)
    for code in CODES:
        own_rows(workspace, get(code))
    build(workspace, workspace.languages)
    return workspace


def ids(workspace: Workspace, code: str, split: str) -> set[str]:
    return {row.example.id for row in table.read(workspace.split(code, split))}


def test_every_row_is_in_a_split_of_its_own_language(place: Path) -> None:
    workspace = made(place)
    for number, code in enumerate(CODES):
        split = {name: ids(workspace, code, name) for name in ("train", "validation", "rejected")}
        assert split["rejected"] == {"alpaca-9"}, "it has no output"
        rest = {*(f"alpaca-{at}" for at in range(5)), f"only-{number}"}
        assert split["train"] | split["validation"] == rest
        assert not split["train"] & split["validation"]
    held_out = [ids(workspace, code, "validation") for code in CODES]
    everywhere = {name for name in set().union(*held_out) if name.startswith("alpaca")}
    assert all(everywhere <= found for found in held_out), "the same ids in every language"
    assert not (workspace.dataset / "ledger").exists(), "nobody was asked"


def test_rows_keep_their_words_and_know_their_language(
    place: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    workspace = made(place, "build.validation=0")
    row = next(iter(table.read(workspace.split("km", "train"))))
    assert (row.example.language, row.example.instruction) == ("km", sentences["km"][0])
    assert row.example.output == sentences["km"][-1]


def test_what_is_done_is_recognised_and_other_checks_look_again(place: Path) -> None:
    workspace = made(place)
    path = workspace.stage("checked", "zh")
    before = path.stat().st_mtime_ns
    made(place)
    assert path.stat().st_mtime_ns == before
    found = own_rows(open_workspace(place, ("check.names=['empty','language']",)), get("zh"))
    assert path.stat().st_mtime_ns != before
    assert found.rows == found.kept + found.rejected == 7


def test_a_wrong_language_is_found_where_it_is_looked_for(place: Path) -> None:
    texts = json.loads((place / "bx" / "km.json").read_text("utf-8"))
    zh = json.loads((place / "bx" / "zh.json").read_text("utf-8"))
    zh[0]["instruction"] = texts[0]["instruction"]
    (place / "bx" / "zh.json").write_text(json.dumps(zh), encoding="utf-8")
    workspace = open_workspace(place, ("check.names=['script']",))
    collect(workspace)
    assert own_rows(workspace, get("zh")).reasons == {"script": 1}
    assert own_rows(workspace, get("km")).reasons == {}


def test_a_language_without_rows_is_said(place: Path) -> None:
    workspace = open_workspace(place)
    collect(workspace)
    with pytest.raises(DataError, match="there are no rows in Thai"):
        own_rows(workspace, get("th"))
