"""Recipes: defaults, overrides, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from bactrian.errors import ConfigError
from bactrian.recipe import Recipe, dumps, load


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_says_only_what_differs(tmp_path: Path) -> None:
    read = load(recipe(tmp_path, 'languages = "no,en"\n[train.lora]\nrank = 64\n'))
    assert read.languages == "no,en"  # YAML would have made False of it
    assert read.train.lora.rank == 64
    assert read.train.lora.alpha == 16


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.lora.rank=8", 8),
        ("train.learning_rate=1e-4", 1e-4),
        ("train.base=some/model", "some/model"),
        ('train.base="quoted"', "quoted"),
        ("eval.tasks=['xcopa']", ("xcopa",)),
        ("network=true", True),
    ],
)
def test_overrides_are_toml_or_bare_words(tmp_path: Path, override: str, value: object) -> None:
    read: object = load(recipe(tmp_path, ""), [override])
    for part in override.partition("=")[0].split("."):
        read = getattr(read, part)
    assert read == value


@pytest.mark.parametrize(
    ("text", "overrides", "problem", "hint"),
    [
        ("[lora]\nranl = 1", [], "unknown key lora", "known are:"),
        ("[train.lora]\nranl = 1", [], "unknown key train.lora.ranl", "did you mean rank?"),
        ("[trian]\nbase = 'x'", [], "unknown key trian", "did you mean train?"),
        ("[train]\nepochs = 'many'", [], "train.epochs = 'many'", "Passes over the data."),
        ("[train]\nepochs = -1", [], "train.epochs = -1", "Passes over the data."),
        ("name: demo", [], "is not TOML", "key = "),
        ("", ["train.lora.rank"], "has no =", "--set section.key=value"),
        ("", ["train.lora.rnak=3"], "unknown key train.lora.rnak", "did you mean rank?"),
        ("name = 'x'", ["name.inner=3"], "name is not a section", "docs/recipe.md"),
    ],
)
def test_wrong_recipes_name_the_key_and_the_next_step(
    tmp_path: Path, text: str, overrides: list[str], problem: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(recipe(tmp_path, text), overrides)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_missing_recipe_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "no.toml")


def test_the_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    first = load(recipe(tmp_path, 'name = "ខ្មែរ"\n[eval.languages]\nxcopa = "zh"\n'))
    again = load(recipe(tmp_path, dumps(first)))
    assert again == first
    assert again != Recipe()


def test_every_field_has_its_sentence() -> None:
    def walk(section: type[BaseModel]) -> None:
        for name, field in section.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                walk(inner)
            else:
                assert field.description, f"{section.__name__}.{name} has no docstring"

    walk(Recipe)
