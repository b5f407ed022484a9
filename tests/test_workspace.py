"""Where things lie, and what is said when there is no workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian import languages
from bactrian.errors import ConfigError
from bactrian.workspace import open_workspace

RECIPE = """
name = "toy"
languages = "vi,km"
[train.adapters]
one = "vi"
both = "vi,km"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_every_place_is_inside(folder: Path) -> None:
    at = open_workspace(folder)
    assert at.root == at.recipe_folder == folder
    assert at.dataset == folder / "datasets" / "toy"
    assert at.results == folder / "results" / "toy"
    assert at.runs == folder / "runs"
    assert at.adapter("one") == folder / "adapters" / "one"
    assert at.ledger(languages.get("vi")) == at.dataset / "ledger" / "vi.sqlite"
    assert at.stage("checked", "vi") == at.dataset / "stages" / "checked" / "vi.parquet"
    name = "train-00000-of-00001.parquet"
    assert at.split("vi", "train") == at.dataset / "data" / "vi" / name


def test_languages_and_adapters_are_those_of_the_recipe(folder: Path) -> None:
    at = open_workspace(folder)
    assert [one.code for one in at.languages] == ["vi", "km"]
    told = {name: [one.code for one in every] for name, every in at.adapters().items()}
    assert told == {"one": ["vi"], "both": ["vi", "km"]}


def test_without_adapters_there_is_one_of_all_languages(folder: Path) -> None:
    (folder / "recipe.toml").write_text('name = "toy"\nlanguages = "vi,km"\n', encoding="utf-8")
    told = open_workspace(folder).adapters()
    assert {name: [one.code for one in every] for name, every in told.items()} == {
        "toy": ["vi", "km"]
    }


def test_a_recipe_file_opens_its_folder(folder: Path) -> None:
    other = folder / "other.toml"
    other.write_text('name = "other"\n', encoding="utf-8")
    at = open_workspace(other)
    assert at.root == at.recipe_folder == folder
    assert at.recipe.name == "other"


def test_overrides_reach_the_recipe(folder: Path) -> None:
    at = open_workspace(folder, ("limit=5", "build.validation=3"))
    assert (at.recipe.limit, at.recipe.build.validation) == (5, 3)


def test_given_paths_are_relative_to_the_recipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    at = open_workspace(folder)
    assert at.given("data/a.json") == folder / "data" / "a.json"
    assert at.given("/data/a.json") == Path("/data/a.json")
    assert at.given("~/a.json") == folder / "home" / "a.json"


def test_a_folder_without_a_recipe_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no recipe\.toml") as told:
        open_workspace(tmp_path)
    assert told.value.hint == f"copy one there: cp recipes/demo.toml {tmp_path / 'recipe.toml'}"


@pytest.mark.parametrize("name", ["absent", "absent.toml"])
def test_a_place_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} does not exist"):
        open_workspace(tmp_path / name)
