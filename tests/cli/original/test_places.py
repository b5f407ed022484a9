"""The original's three data rules, and the languages of rows that it never asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bactrian.cli.original.places import places
from bactrian.errors import BactrianError, ConfigError, DataError

ROOT = Path(__file__).parents[3]
TRANSLATED = ROOT.parent / "shared" / "data" / "alpaca_translated"


def write(path: Path, texts: Sequence[str]) -> Path:
    rows = [{"instruction": text, "input": "", "output": text} for text in texts]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def test_the_hub_is_asked_for_each_language() -> None:
    found = places("MBZUAI/Bactrian-X", " zh , en")
    assert found.hub
    assert found.languages == ("zh", "en")
    assert found.sources == {
        code: {"hub": "MBZUAI/Bactrian-X", "subset": code} for code in ("zh", "en")
    }
    assert len(places("MBZUAI/Bactrian-X", "all").sources) == 52


def test_a_local_folder_stands_for_the_hub(tmp_path: Path) -> None:
    found = places(str(tmp_path), "zh")
    assert not found.hub
    assert found.sources == {"zh": {"files": [str(tmp_path)], "subset": "zh"}}


def test_a_folder_that_build_wrote_is_read_by_its_splits(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "zh"
    folder.mkdir(parents=True)
    for split in ("train", "validation", "rejected"):
        (folder / f"{split}-00000-of-00001.parquet").touch()
    found = places(str(tmp_path), "zh").sources["zh"]
    assert [Path(path).name.partition("-")[0] for path in found["files"]] == ["train", "validation"]


@pytest.mark.parametrize("ending", ["json", "json.gz", "jsonl"])
def test_a_file_goes_before_the_languages(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    row = '[{"instruction": "a", "output": "b"}]'
    path.write_bytes(gzip.compress(row.encode()) if ending.endswith("gz") else row.encode())
    found = places(str(path), "km")
    assert found.sources == {"rows": {"files": [str(path)], "language": "km"}}
    assert found.languages == ("km",)


@pytest.mark.parametrize("code", ["zh", "my", "th", "ar", "xh", "en", "ja", "km"])
def test_a_file_of_one_language_is_told_by_its_rows(
    tmp_path: Path, sentences: Mapping[str, Sequence[str]], code: str
) -> None:
    found = places(str(write(tmp_path / "my rows.json", sentences[code])), "")
    assert found.languages == (code,)
    assert found.sources["my-rows"]["language"] == code
    assert f"taken to be in {code}, as 5 of the first 5 are" in found.notes[0]


def test_a_mixed_file_has_a_language_for_each_row(
    tmp_path: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    texts = [*sentences["zh"], *sentences["vi"], "12345"]
    found = places(str(write(tmp_path / "mixed.json", texts)), "")
    assert found.languages == ("vi", "zh")
    assert found.sources["mixed"]["language"] == "auto"
    assert "vi 5, zh 5; 1 rows in no language of these are left out" in found.notes[0]


def test_every_json_of_a_folder_and_nothing_else(
    tmp_path: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    write(tmp_path / "vi.json", sentences["vi"])
    write(tmp_path / "a b.json", sentences["zh"])
    write(tmp_path / "a-b.json", sentences["zh"])
    write(tmp_path / "table.csv", sentences["th"])
    found = places(str(tmp_path), "")
    assert list(found.sources) == ["a-b", "a-b-2", "vi"]
    assert set(found.languages) == {"zh", "vi"}
    assert "(3)" in found.rule


@pytest.mark.parametrize(
    ("data_path", "lang", "kind", "problem", "hint"),
    [
        ("nowhere.json", "", DataError, "nowhere.json does not exist", "name a file"),
        ("nowhere.json", "zh", DataError, "nowhere.json does not exist", "name a file"),
        ("MBZUAI/Bactrian-X", "", ConfigError, "--lang names no language", "--lang en,zh"),
        ("./no/folder", "zh", DataError, "./no/folder does not exist", "owner/name"),
        ("a/b/c", "zh", DataError, "a/b/c does not exist", "owner/name"),
        (".", "", DataError, "is a folder without a .json file", "--lang zh"),
    ],
)
def test_places_that_are_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data_path: str,
    lang: str,
    kind: type[BactrianError],
    problem: str,
    hint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        places(data_path, lang)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_rows_whose_language_nobody_can_tell(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be told"):
        places(str(write(tmp_path / "sums.json", ["1 + 1", "2 + 2"])), "")


def test_real_translations_are_told(tmp_path: Path) -> None:
    path = TRANSLATED / "zh_carbonz0_0_10020.jsonl.gz"
    if not path.is_file():
        pytest.skip("no ../shared/data here: the samples in the repository are told above")
    link = tmp_path / "zh rows.jsonl.gz"
    link.symlink_to(path)
    assert places(str(link), "").languages == ("zh",)
    english = places(str(ROOT / "demo" / "alpaca.json"), "")
    assert english.languages == ("en",)
