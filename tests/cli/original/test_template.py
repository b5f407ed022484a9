"""Prompt styles in the original's JSON become ours, or are found to be ours already."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from bactrian.cli.original.template import NAMED, style
from bactrian.errors import ConfigError
from bactrian.models.prompts import NAMES, get

VIGOGNE = {
    "description": "French",
    "prompt_input": "### Instruction:\n{instruction}\n\n### Entrée:\n{input}\n\n### Réponse:\n",
    "prompt_no_input": "### Instruction:\n{instruction}\n\n### Réponse:\n",
    "response_split": "### Réponse:",
}
BACTRIAN = {
    "prompt_input": "### Input:\n{instruction}\n\n{input}\n\n### Output:\n",
    "prompt_no_input": "### Input:\n{instruction}\n\n### Output:\n",
    "response_split": "### Output:",
}


def write(folder: Path, name: str, told: object) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return str(folder)


def test_the_names_are_those_of_the_styles() -> None:
    assert set(NAMED) == set(NAMES)


def test_a_built_in_style_needs_no_file(tmp_path: Path) -> None:
    folder = write(tmp_path, "bactrian", VIGOGNE)
    assert style("bactrian", folder, folder_named=False).prompt == "bactrian"


def test_a_file_becomes_a_style_that_renders_the_same(tmp_path: Path) -> None:
    found = style("vigogne", write(tmp_path, "vigogne", VIGOGNE), folder_named=True)
    assert found.prompt == "vigogne.toml"
    (tmp_path / found.prompt).write_text(found.text, encoding="utf-8")
    assert tomllib.loads(found.text)["name"] == "vigogne"
    made = get("vigogne.toml", folder=tmp_path)
    for given in ({"instruction": "Écris {ça}", "input": "où ?"}, {"instruction": "ខ្មែរ"}):
        which = "prompt_input" if "input" in given else "prompt_no_input"
        assert made.render(**given) == VIGOGNE[which].format(**given)


def test_a_file_that_says_the_same_is_the_built_in_style(tmp_path: Path) -> None:
    folder = write(tmp_path, "mine", BACTRIAN)
    assert style("mine", folder, folder_named=True).prompt == "bactrian"
    other = style("bactrian", write(tmp_path, "bactrian", VIGOGNE), folder_named=True)
    assert other.prompt == "bactrian-own.toml", "a name that is taken means other words here"


@pytest.mark.parametrize(
    ("told", "problem"),
    [("[]", "is no template"), ('{"prompt_input": "a"}', "is no template"), ("{", "is not JSON")],
)
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, told: str, problem: str) -> None:
    (tmp_path / "mine.json").write_text(told, encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        style("mine", str(tmp_path), folder_named=True)


def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        style("alpca", str(tmp_path), folder_named=False)
    assert "did you mean alpaca?" in caught.value.hint
