"""Which files a collection is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.data.sources.files import files_of, language_named, stem
from bactrian.errors import ConfigError, DataError
from bactrian.recipe import Source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path, **source: object) -> list[str]:
    found = files_of("x", Source.model_validate(source), folder)
    return [str(path.relative_to(folder)) for path in found]


def test_files_stay_in_the_order_of_the_recipe_and_those_of_a_folder_are_sorted(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "b.json", "f/2.jsonl", "f/10.csv", "f/1.parquet", "f/README.md", "f/.x.json")
    found = names(tmp_path, files=["b.json", "f"])
    assert found == ["b.json", "f/1.parquet", "f/10.csv", "f/2.jsonl"]
    assert names(tmp_path, files=["absent.json"]) == ["absent.json"]  # said when it is read


def test_a_subset_is_one_file_of_a_folder_or_of_its_data(tmp_path: Path) -> None:
    touch(tmp_path, "bx/data/id.json.gz", "bx/data/zh.json.gz", "bx/Bactrian-X.py")
    assert names(tmp_path, files=["bx"], subset="id") == ["bx/data/id.json.gz"]
    with pytest.raises(DataError, match=r"bx/data has no file for idd") as told:
        names(tmp_path, files=["bx"], subset="idd")
    assert told.value.hint == "did you mean id?"


def test_a_folder_of_languages_needs_a_choice(tmp_path: Path) -> None:
    touch(tmp_path, "bx/id.json.gz", "bx/zh.json.gz")
    with pytest.raises(ConfigError, match="bx has a file for each of 2 languages") as told:
        names(tmp_path, files=["bx"])
    assert 'subset = "id"' in told.value.hint
    both = ["bx/id.json.gz", "bx/zh.json.gz"]
    assert names(tmp_path, files=["bx"], language="auto") == both


def test_a_folder_without_rows_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "f/README.md")
    with pytest.raises(DataError, match=r"f holds no file that can be read") as told:
        names(tmp_path, files=["f"])
    assert ".parquet" in told.value.hint


def test_a_languages_code_is_known_by_its_letters() -> None:
    assert [language_named(word) for word in ("id", "ZH", "default", "en-US", "")] == [
        *("id", "zh", "", "", "")
    ]
    assert stem(Path("data/id.json.gz")) == "id"
