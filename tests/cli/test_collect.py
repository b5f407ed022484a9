"""collect, as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bactrian import table

Run = Callable[..., Any]


def test_it_says_what_each_collection_holds(run: Run, folder: Path) -> None:
    done = run("collect", folder)
    assert done.code == 0
    assert "alpaca: rows with id, instruction, input, output" in done.out
    assert "alpaca  en 40  shape alpaca" in done.out
    path = folder / "datasets/small/stages/sources/en.parquet"
    assert "en  40 rows  " in done.out
    assert len(list(table.read(path))) == 40
    again = run("collect", folder)
    assert "alpaca  en 40  shape alpaca" in again.out
    assert "are read as" not in again.out  # nothing was read again


def test_limit_and_set_take_the_place_of_the_recipes(run: Run, folder: Path) -> None:
    assert "alpaca  en 5  shape alpaca" in run("collect", folder, "--limit", 5).out
    other = run("collect", folder, "--limit", 5, "--set", 'sources.alpaca.language="zh"')
    assert "zh  5 rows  " in other.out


def test_a_dry_run_reads_a_little_and_writes_nothing(run: Run, folder: Path) -> None:
    dry = run("collect", folder, "--dry-run")
    assert "alpaca  would read " in dry.out
    assert "shape alpaca, language en" in dry.out
    assert not (folder / "datasets").exists()
    assert not (folder / "runs").exists()
    run("collect", folder)
    assert "alpaca  has read " in run("collect", folder, "--dry-run").out


def test_a_dry_run_asks_no_network(run: Run, folder: Path) -> None:
    (folder / "recipe.toml").write_text(
        '[sources.bx]\nhub = "MBZUAI/Bactrian-X"\nsubset = "id"\n', encoding="utf-8"
    )
    dry = run("collect", folder, "--dry-run")
    assert "bx  would read MBZUAI/Bactrian-X  from the Hub, shape auto, language id" in dry.out
    real = run("collect", folder)
    assert real.code == 2
    assert "hint: set network = true in the recipe, or download" in real.err


def test_json_is_one_object_on_stdout(run: Run, folder: Path) -> None:
    told = json.loads(run("collect", folder, "--json").out)
    assert told["rows"] == 40
    assert told["languages"] == {"en": 40}
    assert told["set_aside"] == {}
    assert told["collections"]["alpaca"]["shape"] == "alpaca"
    assert sum([*told["defects"].values(), *told["marks"].values()]) == sum(
        len(row.flags) for row in table.read(Path(told["paths"]["en"]))
    )
    dry = json.loads(run("collect", folder, "--dry-run", "--json").out)
    assert dry["done"] is True
    assert dry["collections"]["alpaca"]["bytes"] >= 50_000


def test_what_is_wrong_is_said_in_two_lines(run: Run, folder: Path) -> None:
    (folder / "odd.jsonl").write_text('{"frage": "x", "antwort": "y"}\n', encoding="utf-8")
    odd = run("collect", folder, "--set", 'sources.alpaca.files=["odd.jsonl"]')
    assert odd.code == 5
    assert "error: alpaca: the rows, with the keys frage, antwort, fit no known shape" in odd.err
    assert 'hint: say which one: shape = "…" under [sources.alpaca]' in odd.err
