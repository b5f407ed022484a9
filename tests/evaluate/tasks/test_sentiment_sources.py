"""The authors' own files give what the collected file gives."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import DataError
from bactrian.evaluate.tasks.finding import items
from bactrian.evaluate.tasks.sentiment_sources import READERS, published

MakeTask = Callable[..., Any]
XML = """<?xml version="1.0" encoding="utf-8"?>
<dump><database name="x">
<table name="t"><column name="id">1</column><column name="twitid">11</column>
<column name="text">Банк</column><column name="vtb">-1</column><column name="gazprom">NULL</column>
</table>
<table name="t"><column name="id">2</column><column name="twitid">12</column>
<column name="text">Два</column><column name="vtb">1</column><column name="gazprom">-1</column>
</table>
</database></dump>
"""
FILES = {
    "ar": ("Mawqif_AllTargets_Test.csv", "\ufeffID,text,sentiment\n11,نص,Negative\n", "mawqif"),
    "es": ("dev/pe.tsv", "11\tbien\tN\n", "tass2020-pe"),
    "id": ("test.csv", "id,text,label\n11,bagus,negative\n", "nusax"),
    "ja": ("pn.tsv", "10\t1\t良い\t{}\ttrain\n11\t-1\t駅\t{}\ttest\n", "jrte-pn"),
    "ru": ("banks_test_etalon.xml", XML, "SentiRuEval-2016-banks"),
    "sw": ("test.tsv", "tweet\tlabel\nmbaya\tnegative\n", "afrisenti"),
}


@pytest.mark.parametrize("code", sorted(FILES))
def test_each_source_is_read_as_it_is_published(tmp_path: Path, code: str) -> None:
    name, content, source = FILES[code]
    path = tmp_path / code / name
    path.parent.mkdir(parents=True)
    path.write_text(content, "utf-8")
    found = list(published(tmp_path, code) or ())
    told = [(one.values["source"], one.values["id"], one.values["label"]) for one in found]
    assert told == [(source, "0" if code == "sw" else "11", "negative")]


@pytest.mark.parametrize(
    ("code", "name", "content", "problem"),
    [
        ("es", "dev/pe.tsv", b"11\tbien\tNONE\n", "tass2020-pe has no label 'NONE'"),
        ("ru", "banks_test_etalon.xml", XML.encode()[:-30], "is cut short or damaged"),
        ("ru", "banks_test_etalon.xml.gz", gzip.compress(XML.encode())[:-9], "is cut short"),
        ("sw", "test.tsv", b"tweet\tlabel\nx\n", "1 columns, not 2"),
    ],
)
def test_what_is_damaged_is_named(
    tmp_path: Path, code: str, name: str, content: bytes, problem: str
) -> None:
    path = tmp_path / code / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(published(tmp_path, code) or ())
    assert problem in caught.value.problem


def test_what_is_not_there_is_told(make_task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "sw").mkdir()
    assert published(tmp_path, "sw") is None
    assert published(tmp_path, "ru") is None
    with pytest.raises(DataError, match="has no sentimentx in Swahili") as caught:
        list(make_task("sentimentx", "sw").items(languages.get("sw")))
    assert "sw/ with its source" in caught.value.hint


@pytest.mark.parametrize("code", sorted(READERS))
def test_the_sources_ask_the_very_same_questions(
    make_task: MakeTask, shared: Any, tmp_path: Path, code: str
) -> None:
    whole = shared("sentimentx")
    raw = whole / "raw" / {"jv": "jav", "su": "sun"}.get(code, code)
    (tmp_path / code).mkdir()
    for path in raw.iterdir():
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed:
                packed.extractall(tmp_path / code)
        else:
            (tmp_path / code / path.name).write_bytes(path.read_bytes())
    spoken = languages.get(code)
    ours = {item.id: item for item in items(make_task("sentimentx", code), spoken)}
    theirs = {item.id: item for item in items(make_task("sentimentx", code, data=whole), spoken)}
    assert ours == theirs
