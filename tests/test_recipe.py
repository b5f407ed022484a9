"""Recipes: defaults, overrides, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from bactrian.errors import ConfigError
from bactrian.recipe import Recipe, dumps, load, of_values


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
        ("", ["train.prompt=alpca"], "train.prompt = 'alpca' is no prompt", "did you mean alpaca?"),
        ("", ["train.prompt=mine"], "train.prompt = 'mine' is no prompt style", "a TOML file"),
        ("", ["train.stop_on=best"], "train.stop_on = 'best'", "The loss that patience watches"),
        ("", ["train.loggers=['comet']"], "train.loggers.0 = 'comet'", "beside events.jsonl"),
        ("", ["train.temperature=0"], "train.temperature = 0", "rows^(1/temperature)"),
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


@pytest.mark.parametrize(
    ("text", "named", "hint"),
    [
        ("adapter = 'none'\ntogether = true", ("adapter", "together"), 'adapter = "lora"'),
        ("adapter = 'none'\nquantize = 'nf4'", ("adapter", "quantize"), 'quantize = "none"'),
        ("adapter = 'none'\nlora.plus_ratio = 16.0", ("adapter", "lora.plus_ratio"), "leave"),
        ("adapter = 'none'\nlora.variant = 'dora'", ("adapter", "lora.variant"), "leave"),
        ("adapter = 'none'\nlora.targets = ['q_proj']", ("adapter", "lora.targets"), "leave"),
        ("fsdp = true\nquantize = 'int8'", ("fsdp", "quantize"), "fsdp = false"),
        ("lora.variant = 'pissa'\nquantize = 'int8'", ("lora.variant", "quantize"), "another"),
        ("lora.variant = 'pissa'\ntogether = true", ("lora.variant", "together"), "another"),
        ("patience = 3\neval_rows = 0", ("patience", "eval_rows"), "eval_rows = 64"),
        ("lora.targets = ['all-linear', 'q_proj']", ("lora.targets",), "all-linear"),
    ],
)
def test_contradictions_are_refused_early_and_name_the_keys(
    tmp_path: Path, text: str, named: tuple[str, ...], hint: str
) -> None:
    path = recipe(tmp_path, f"[train]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problem.startswith(f"{path}: train.")
    for key in named:
        assert f"train.{key}" in caught.value.problem
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "adapter = 'none'\nfsdp = true",
        "together = true\nlora.variant = 'rslora'",
        "quantize = 'torchao-int8'\nlora.variant = 'dora'",
        "patience = 3\nstop_on = 'worst'",
        "batch_rows = 128\nmicro_batch_tokens = 512",
    ],
)
def test_what_can_be_meant_together_is_taken_and_reads_back(tmp_path: Path, text: str) -> None:
    first = load(recipe(tmp_path, f"[train]\n{text}\n"))
    assert load(recipe(tmp_path, dumps(first))) == first


@pytest.mark.parametrize(
    ("told", "targets"),
    [
        ('"all-linear"', ("all-linear",)),
        ('"q_proj, v_proj"', ("q_proj", "v_proj")),
        ('["query_key_value"]', ("query_key_value",)),
        ("[]", ()),
    ],
)
def test_targets_are_names_or_all_linear(
    tmp_path: Path, told: str, targets: tuple[str, ...]
) -> None:
    read = load(recipe(tmp_path, f"[train.lora]\ntargets = {told}\n"))
    assert read.train.lora.targets == targets


def test_plain_values_are_a_recipe_as_a_file_is() -> None:
    read = of_values({"train": {"epochs": 1}}, "these flags", ["train.lora.rank=2"])
    assert (read.train.epochs, read.train.lora.rank) == (1.0, 2)
    with pytest.raises(ConfigError, match=r"^these flags: train\.epochs = 0"):
        of_values({"train": {"epochs": 0}}, "these flags")


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
