"""The card: front matter that YAML reads as meant, and the counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bactrian import languages
from bactrian.data.card import Counts, card
from bactrian.languages import Language
from bactrian.recipe import Build, Recipe, Source

yaml: Any = pytest.importorskip("yaml")
NORWEGIAN = replace(languages.get("sv"), code="no", name="Norwegian", native="norsk")
"""YAML 1.1 takes a bare ``no`` for False; so it would ``on`` and ``y``."""
THREE = (languages.get("vi"), NORWEGIAN, languages.get("zh"))
RECIPE = Recipe(name="toy", sources={"alpaca": Source(licence="CC-BY-NC-4.0")})


def counts(*told: Language, train: int = 5) -> tuple[Counts, ...]:
    return tuple(
        Counts(one.code, train + 5, train, 2, 3, {"script": 1, "empty": 2}) for one in told
    )


def front(text: str) -> dict[str, Any]:
    before, matter, body = text.split("---\n", 2)
    assert before == ""
    assert body.startswith("# ")
    found = yaml.safe_load(matter)
    assert isinstance(found, dict)
    return found


def test_every_code_is_a_string() -> None:
    found = front(card(RECIPE, THREE, counts(*THREE)))
    assert found["language"] == ["vi", "no", "zh"]
    assert [config["config_name"] for config in found["configs"]] == ["vi", "no", "zh"]
    assert found["configs"][1]["data_files"] == [
        {"split": "train", "path": "data/no/train-*.parquet"},
        {"split": "validation", "path": "data/no/validation-*.parquet"},
    ]


def test_all_52_languages_make_a_card() -> None:
    every = languages.all_languages()
    found = front(card(RECIPE, every, counts(*every)))
    assert found["language"] == [one.code for one in every]
    assert len(found["configs"]) == 52


def test_the_front_matter_says_what_the_hub_asks_for() -> None:
    found = front(card(RECIPE, THREE, counts(*THREE)))
    assert found["pretty_name"] == "toy"
    assert found["license"] == "cc-by-nc-4.0"
    assert found["task_categories"] == ["text-generation"]
    assert "license" not in front(card(Recipe(), THREE, counts(*THREE)))


@pytest.mark.parametrize("name", ['a "quoted" name', "no", "1.0", "名: #前"])
def test_a_name_is_quoted(name: str) -> None:
    assert front(card(Recipe(name=name), THREE, counts(*THREE)))["pretty_name"] == name


@pytest.mark.parametrize(
    ("train", "size"),
    [
        (997, "n<1K"),
        (998, "1K<n<10K"),
        (9_998, "10K<n<100K"),
        (67_000, "10K<n<100K"),
        (99_998, "100K<n<1M"),
        (999_998, "1M<n<10M"),
        (9_999_998, "10M<n<100M"),
    ],
)
def test_the_size_is_that_of_the_rows_kept(train: int, size: str) -> None:
    one = THREE[:1]
    assert front(card(RECIPE, one, counts(*one, train=train)))["size_categories"] == [size]


def test_without_validation_no_such_split_is_promised() -> None:
    recipe = Recipe(build=Build(validation=0))
    config = front(card(recipe, THREE, counts(*THREE)))["configs"][0]
    assert [files["split"] for files in config["data_files"]] == ["train"]


def test_the_counts_stand_in_a_table() -> None:
    text = card(RECIPE, THREE, (*counts(*THREE[:2]), Counts("zh", 9, 7, 2, 0, {})))
    assert "| Vietnamese (vi) | 10 | 5 | 2 | 3 | empty 2, script 1 |" in text
    assert "| Chinese (zh) | 9 | 7 | 2 | 0 | – |" in text
    assert 'load_dataset("<this folder or its Hub id>", "vi")' in text


def test_a_card_follows_from_what_it_is_told() -> None:
    assert card(RECIPE, THREE, counts(*THREE)) == card(RECIPE, THREE, counts(*THREE))
