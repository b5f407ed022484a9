"""languages, doctor, --version and --help."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import bactrian

Run = Callable[..., Any]


def test_languages_prints_all_of_them(run: Run) -> None:
    table = run("languages").out
    for word in ("ខ្មែរ", "km_KH", "khm_Khmr", "austroasiatic", "61 languages"):
        assert word in table, word
    assert "52 languages" in run("languages", "all").out
    told = json.loads(run("languages", "id,ta", "--json").out)
    assert [one["code"] for one in told] == ["id", "ta"]


def test_languages_refuses_an_unknown_one(run: Run) -> None:
    done = run("languages", "jp")
    assert done.code == 4
    assert 'Japanese is "ja"' in done.err


def test_doctor_says_which_verbs_will_work(run: Run, folder: Path) -> None:
    said = run("doctor", folder).out
    assert "will work: translate" in said
    assert "small: zh, km" in said
    assert "disk here" in said


def test_doctor_names_what_is_lacking(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:

    def lacking(name: str) -> object:
        return None if name == "gradio" else find_spec(name)

    monkeypatch.setattr("bactrian.cli.doctor.find_spec", lacking)
    told = json.loads(run("doctor", "--json").out)
    assert told["verbs"]["chat"] == ["chat"]
    assert told["verbs"]["train"] == []
    (chat,) = [one for one in told["findings"] if one["what"] == "extra chat"]
    assert chat["hint"] == "pip install 'bactrian[chat]'"
    assert not chat["fine"]


def test_doctor_never_prints_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-123")
    said = run("doctor").out
    assert "OPENAI_API_KEY" in said
    assert "sk-very" not in said


def test_version(run: Run) -> None:
    assert run("--version").out.strip() == f"bactrian {bactrian.__version__}"


def test_chat_foretells_what_it_would_open(run: Run, tiny_base: Path, tmp_path: Path) -> None:
    said = run("chat", "--base", tiny_base, "--dry-run")
    assert f"would open {tiny_base}" in said.out
    told = json.loads(run("chat", "--base", tiny_base, "--dry-run", "--json").out)
    assert told["adapters"] == {}
    assert run("chat", "--base", tmp_path / "none", "--dry-run").code == 2


VERBS = ("demo", "translate", "respond", "check", "build", "train", "eval", "report", "chat")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    done = run(verb, "--help")
    assert done.code == 0
    assert "Usage" in done.out
