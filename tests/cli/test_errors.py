"""Bad input: one line with the problem, one with the next step, an exit code that is not 0."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
BROKEN = (
    Path(__file__).parents[3]
    / "shared/data/alpaca_translated/zh_hikariming_9407_12344_broken.json.gz"
)


def refused(outcome: Any, code: int, problem: str, hint: str) -> None:
    """Assert that there are exactly two lines, with these words, and this exit code."""
    lines = outcome.err.strip().splitlines()
    assert outcome.code == code, outcome.err
    assert len(lines) == 2, outcome.err
    assert lines[0].startswith("error: ")
    assert problem in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "problem", "hint"),
    [
        (["--languages", "jp"], 4, 'unknown language "jp"', 'Japanese is "ja"'),
        (["--set", "trian.base=x"], 2, "unknown key trian", "did you mean train?"),
        (["--set", "train.lora.ranl=1"], 2, "unknown key train.lora.ranl", "did you mean rank?"),
        (["--set", "translate.using=goggle"], 2, "unknown translator goggle", "google"),
        (["--set", "translate.recording=/no/where"], 6, "/no/where does not exist", "recording ="),
        (["--set", "sources.files=[]"], 2, "sources.files belongs to no collection", "[sources."),
        (["--set", "sources.alpaca.files=[]"], 2, "alpaca", "name one of them"),
        (
            ["--set", 'sources.alpaca.files=["no.json"]'],
            5,
            "no.json does not exist",
            "name the files",
        ),
    ],
)
def test_wrong_options(
    run: Run, folder: Path, words: list[str], code: int, problem: str, hint: str
) -> None:
    refused(run("translate", folder, *words), code, problem, hint)
    assert not list(folder.rglob("*.parquet"))


def test_a_recipe_that_is_not_toml(run: Run, folder: Path) -> None:
    (folder / "recipe.toml").write_text("name: demo\n", encoding="utf-8")
    refused(run("translate", folder), 2, "recipe.toml is not TOML", "key = ")


def test_a_folder_without_a_recipe(run: Run, tmp_path: Path) -> None:
    refused(run("train", tmp_path), 2, "has no recipe.toml", "cp recipes/demo.toml")
    refused(run("train", tmp_path / "nowhere"), 2, "does not exist", "name a folder")


def test_a_source_that_is_not_json(run: Run, folder: Path) -> None:
    (folder / "cut.json").write_text('[\n{"instruction": "a"},\n{"instr', encoding="utf-8")
    done = run("translate", folder, "--set", 'sources.alpaca.files=["cut.json"]')
    refused(done, 5, "cut.json, line 3", "mend the file")


@pytest.mark.skipif(not BROKEN.is_file(), reason="needs ../shared/data: the real broken file")
def test_the_real_broken_file_is_named_with_its_line(run: Run, folder: Path) -> None:
    done = run("translate", folder, "--set", f'sources.alpaca.files=["{BROKEN}"]')
    refused(done, 5, "line 14007", "mend the file")
    with gzip.open(BROKEN, "rt", encoding="utf-8") as file:
        assert file.read().splitlines()[14006].strip()  # there is something on that line


def test_stages_out_of_order(run: Run, folder: Path) -> None:
    refused(run("respond", folder), 5, "does not exist", "before")
    refused(run("check", folder), 5, "Chinese has no responses yet", "bactrian respond")
    refused(run("train", folder, "--set", "train.base=/no"), 2, "base /no", "")
    refused(run("report", folder), 5, "results.json does not exist", "bactrian eval")


def test_a_dataset_without_rows(run: Run, folder: Path, tiny_base: Path) -> None:
    done = run("train", folder, "--set", f"train.base={tiny_base}")
    refused(done, 5, "train-00000-of-00001.parquet does not exist", "bactrian build")
    for verb in ("translate", "respond", "check"):
        assert run(verb, folder).code == 0
    refused(
        run("build", folder, "--set", "build.validation=40"), 5, "leaves none", "build.validation"
    )


def test_an_adapter_folder_without_tensors(run: Run, tmp_path: Path, tiny_base: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}), encoding="utf-8")
    (empty / "adapter_model.bin").write_bytes(b"x" * 443)
    done = run("chat", "--base", tiny_base, "--adapter", empty)
    refused(done, 7, "is empty (443 bytes", "train it again")


def test_an_open_door_needs_a_token(run: Run, tiny_base: Path) -> None:
    refused(run("chat", "--base", tiny_base, "--host", "0.0.0.0"), 2, "0.0.0.0", "--token")


def test_our_own_bugs_keep_their_traceback_and_show_no_secrets(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-very-secret-123"

    def broken(*_: object) -> None:
        key = secret
        raise ValueError(f"length {len(key)}")

    monkeypatch.setattr("bactrian.data.collect.collect", broken)
    done = run("translate", folder)
    assert done.code == 70
    assert "Traceback" in done.err
    assert "this is a bug in bactrian" in done.err
    assert secret not in done.err


def test_ctrl_c_says_how_to_go_on(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bactrian.data.collect.collect", interrupted)
    monkeypatch.setattr("sys.argv", ["bactrian", "translate", str(folder)])
    refused(run("translate", folder), 130, "interrupted", f"bactrian translate {folder}")
    assert "interrupted" in run("runs", folder).out
