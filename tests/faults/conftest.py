"""A folder with the fake providers, and a way to run a verb in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bactrian.cli import main

ROWS = 60


class Outcome(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``bactrian`` with the given words and return how it ended."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace of 60 rows in Vietnamese with the fake providers."""
    place = tmp_path / "place"
    place.mkdir()
    rows = [{"instruction": f"Name {n + 2} camels.", "output": f"{n} camels"} for n in range(ROWS)]
    (place / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (place / "recipe.toml").write_text(
        """
        name = "toy"
        languages = "vi"
        [sources.rows]
        files = ["rows.json"]
        [translate]
        using = "fake"
        concurrency = 2
        price = { characters = 20 }
        [respond]
        using = "fake"
        concurrency = 2
        price = { input = 0.15, output = 0.6 }
        [check]
        names = ["empty"]
        [build]
        validation = 4
        """,
        encoding="utf-8",
    )
    return place
