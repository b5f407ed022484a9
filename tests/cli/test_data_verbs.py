"""translate, respond, check and build, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bactrian import table

Run = Callable[..., Any]


def test_the_road_of_the_data(run: Run, folder: Path) -> None:
    translated = run("translate", folder)
    assert translated.code == 0
    assert "zh  40 translated" in translated.out
    assert "km  40 translated" in translated.out
    responded = run("respond", folder)
    assert "zh  40 answered" in responded.out
    checked = run("check", folder)
    assert "zh " in checked.out
    assert "rejected" in checked.out
    built = run("build", folder)
    assert "8 validation" in built.out
    for language in ("zh", "km"):
        splits = [
            table.info(folder / f"datasets/small/data/{language}/{split}-00000-of-00001.parquet")
            for split in ("train", "validation", "rejected")
        ]
        assert sum(found.rows for found in splits if found) == 40
    card = (folder / "datasets/small/README.md").read_text(encoding="utf-8")
    assert 'license: "cc-by-nc-4.0"' in card


def test_a_dry_run_sends_and_writes_nothing(run: Run, folder: Path) -> None:
    dry = run("translate", folder, "--dry-run", "--languages", "km")
    assert "km  would send 40 of 40 requests" in dry.out
    assert not (folder / "datasets/small/ledger").exists()
    assert not (folder / "runs").exists()
    run("translate", folder)
    again = run("translate", folder, "--dry-run")
    assert "would send 0 of 40 requests, 0 characters, 0.00 USD; 40 are in the ledger" in again.out


def test_limit_and_languages_take_the_place_of_the_recipes(run: Run, folder: Path) -> None:
    assert "km  5 translated" in run("translate", folder, "-l", "km", "--limit", 5).out
    assert not (folder / "datasets/small/stages/translated/zh.parquet").exists()


def test_json_is_one_object_on_stdout_and_words_are_on_stderr(run: Run, folder: Path) -> None:
    done = run("translate", folder, "--json")
    told = json.loads(done.out)
    assert told["languages"]["zh"] == {"rows": 40, "missing": 0, "asked": 40, "cost_usd": 0.0}
    assert "zh  40 translated" in done.err
    run("respond", folder)
    told = json.loads(run("check", folder, "--json").out)
    zh = told["languages"]["zh"]
    assert zh["kept"] + zh["rejected"] == zh["rows"] == 40
    assert sum(zh["reasons"].values()) == zh["rejected"]


def test_what_the_recording_lacks_is_reported_never_invented(run: Run, folder: Path) -> None:
    rows = [{"id": "alpaca-0", "instruction": "Say something nobody recorded.", "output": "x"}]
    (folder / "own.json").write_text(json.dumps(rows), encoding="utf-8")
    done = run("translate", folder, "--set", 'sources.alpaca.files=["own.json"]')
    assert done.code == 0
    assert "zh  0 translated, 1 missing" in done.out
    run("respond", folder, "--set", 'sources.alpaca.files=["own.json"]')
    checked = run("check", folder, "--set", 'sources.alpaca.files=["own.json"]')
    assert "zh  0 kept, 1 rejected (missing 1)" in checked.out
    (row,) = table.read(folder / "datasets/small/stages/checked/zh.parquet")
    assert row.example.output == ""
    assert "the recording has no answer" in row.flags[0].reason


def test_runs_lists_what_was_done(run: Run, folder: Path) -> None:
    run("translate", folder)
    run("train", folder, "--set", "train.base=/no/where")
    listed = run("runs", folder).out.splitlines()
    assert len(listed) == 2
    assert listed[0].startswith("done")
    assert "-translate-small" in listed[0]
    assert listed[1].startswith("failed")
    assert "/no/where" in listed[1]
    told = json.loads(run("runs", folder, "--json").out)
    assert [one["state"] for one in told] == ["done", "failed"]
