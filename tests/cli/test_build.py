"""build: the whole road in one verb, and only what of it is not gone yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.ledger import key_of

Run = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace of 30 rows in English and Vietnamese with the fake providers."""
    folder = tmp_path / "place"
    folder.mkdir()
    rows = [
        {
            "instruction": f"Name {n} {'fragile' if n % 5 == 0 else 'tall'} camels `c`.",
            "output": "c",
        }
        for n in range(30)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "recipe.toml").write_text(
        """
        name = "toy"
        languages = "en,vi"
        [sources.rows]
        files = ["rows.json"]
        licence = "CC0-1.0"
        [translate]
        using = "fake"
        [respond]
        using = "fake"
        [check]
        names = ["empty"]
        [build]
        validation = 4
        """,
        encoding="utf-8",
    )
    return folder


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and the bytes of every file that a build makes."""
    dataset = folder / "datasets/toy"
    paths = [*dataset.rglob("*.parquet"), dataset / "README.md"]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def rows_in(folder: Path, code: str) -> int:
    splits = ("train", "validation", "rejected")
    paths = [folder / f"datasets/toy/data/{code}/{name}-00000-of-00001.parquet" for name in splits]
    return sum(found.rows for found in map(table.info, paths) if found is not None)


def test_it_goes_the_whole_road(run: Run, place: Path, script: Any) -> None:
    done = run("build", place, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["asked"]["vi"] == {
        "translate": {"rows": 30, "missing": 0, "asked": 36, "cost_usd": 0.0},
        "respond": {"rows": 30, "missing": 0, "asked": 30, "cost_usd": 0.0},
    }
    assert told["asked"]["en"]["translate"]["asked"] == 0
    assert len(script.sent) == 66
    for code in ("en", "vi"):
        assert rows_in(place, code) == 30
        (counted,) = [one for one in told["languages"] if one["language"] == code]
        assert counted["train"] + counted["validation"] + counted["rejected"] == 30


def test_a_second_build_asks_nothing_and_writes_nothing(run: Run, place: Path, script: Any) -> None:
    run("build", place)
    before = state(place)
    script.clear()
    done = run("build", place, "--json")
    assert script.sent == []
    assert state(place) == before
    assert json.loads(done.out)["asked"]["vi"]["respond"]["asked"] == 0


@pytest.mark.parametrize("stage", ["sources", "translated", "answered", "checked"])
def test_a_stage_that_was_lost_is_made_again_without_asking(
    run: Run, place: Path, script: Any, stage: str
) -> None:
    run("build", place)
    before = {path: data for path, (_, data) in state(place).items()}
    script.clear()
    for lost in (place / "datasets/toy/stages" / stage).glob("*.parquet"):
        lost.unlink()
    assert run("build", place).code == 0
    assert script.sent == []
    assert {path: data for path, (_, data) in state(place).items()} == before


def test_a_language_added_later_is_paid_for_alone(run: Run, place: Path, script: Any) -> None:
    run("build", place)
    held_out = ids(place, "vi", "validation")
    first = state(place)
    script.clear()
    assert run("build", place, "--languages", "en,vi,km").code == 0
    assert {request["target"] for request in script.sent} == {"km"}
    assert len(script.sent) == 66
    assert ids(place, "km", "validation") == held_out == ids(place, "vi", "validation")
    now = state(place)
    changed = [path for path, found in first.items() if now[path] != found]
    assert [Path(path).name for path in changed] == ["README.md"]


def ids(folder: Path, code: str, split: str) -> set[str]:
    path = folder / f"datasets/toy/data/{code}/{split}-00000-of-00001.parquet"
    return {row.example.id for row in table.read(path)}


def test_a_limit_that_is_raised_asks_only_for_the_new_rows(
    run: Run, place: Path, script: Any
) -> None:
    run("build", place, "--limit", 12)
    assert rows_in(place, "vi") == 12
    first = {key_of(request) for request in script.clear()}
    run("build", place)
    assert rows_in(place, "vi") == 30
    second = [key_of(request) for request in script.clear()]
    assert not first & set(second)
    assert len(first) + len(second) == 66
    run("build", place, "--limit", 12)
    assert rows_in(place, "vi") == 12
    assert script.sent == []


def test_rows_that_failed_are_asked_for_again_and_no_others(
    run: Run, place: Path, script: Any
) -> None:
    script.silent = ("Name 3 ", "NAME 7 ")
    done = run("build", place)
    assert "vi  29 translated, 1 missing" in done.out
    assert "vi  28 answered, 2 missing" in done.out
    assert rows_in(place, "vi") == 30
    script.clear()
    script.silent = ()
    assert run("build", place).code == 0
    assert len(script.sent) == 3, "a translation, its response, and a response"
    rejected = place / "datasets/toy/data/vi/rejected-00000-of-00001.parquet"
    assert list(table.read(rejected)) == []


def test_another_prompt_is_paid_for_and_the_old_answers_stay(
    run: Run, place: Path, script: Any
) -> None:
    run("build", place)
    before = state(place)
    script.clear()
    run("build", place, "--set", 'respond.model="better"')
    assert len(script.sent) == 30
    script.clear()
    run("build", place)
    assert script.sent == []
    assert {path: data for path, (_, data) in state(place).items()} == {
        path: data for path, (_, data) in before.items()
    }


def test_without_sources_checked_rows_are_still_split(run: Run, place: Path, script: Any) -> None:
    run("build", place)
    before = {path: data for path, (_, data) in state(place).items()}
    recipe = place / "recipe.toml"
    told = recipe.read_text(encoding="utf-8")
    start, end = told.index("[sources.rows]"), told.index("[translate]")
    recipe.write_text(told[:start] + told[end:], encoding="utf-8")
    for path in (place / "datasets/toy/data").rglob("*.parquet"):
        path.unlink()
    script.clear()
    done = run("build", place)
    assert done.code == 0, done.err
    assert script.sent == []
    now = {path: data for path, (_, data) in state(place).items()}
    parquet = [path for path in before if path.endswith(".parquet")]
    assert {path: now[path] for path in parquet} == {path: before[path] for path in parquet}


def test_a_pair_that_nobody_translates_is_said_before_anything_is_paid(
    run: Run, place: Path, script: Any
) -> None:
    script.speaks = frozenset({"vi"})
    done = run("build", place, "--languages", "vi,km")
    assert done.code == 4
    assert script.sent == []


def test_rows_that_are_in_their_language_are_only_checked(place: Path, run: Run) -> None:
    for code, words in (("km", "បង្កើតបញ្ជីផ្លែឈើ"), ("ar", "اكتب قائمة بالفواكه")):
        rows = [{"instruction": f"{words} {n}", "output": words} for n in range(20)]
        (place / f"{code}.json").write_text(json.dumps(rows), encoding="utf-8")
    (place / "recipe.toml").write_text(
        """
        name = "toy"
        languages = "km,ar"
        [sources.km]
        files = ["km.json"]
        language = "km"
        [sources.ar]
        files = ["ar.json"]
        language = "ar"
        [translate]
        using = "nobody is asked"
        [build]
        validation = 4
        """,
        encoding="utf-8",
    )
    assert run("build", place).code == 0
    assert run("check", place).code == 0
    for code in ("km", "ar"):
        assert rows_in(place, code) == 20
    assert not list((place / "datasets/toy").rglob("*.sqlite"))
