"""A folder with a recipe, and a way to run a verb in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bactrian.cli import main

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"


@dataclass(frozen=True)
class Outcome:
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
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A workspace with the demo's data: 40 rows, two languages, the recording."""
    place = tmp_path / "work"
    place.mkdir()
    (place / "recipe.toml").write_text(
        f"""
        name = "small"
        languages = "zh,km"
        limit = 40
        [sources.alpaca]
        files = ["{DEMO / "alpaca.json"}"]
        licence = "CC-BY-NC-4.0"
        [translate]
        model = "alpaca-translated"
        recording = "{DEMO / "recorded"}"
        [respond]
        model = "alpaca-translated"
        recording = "{DEMO / "recorded"}"
        [build]
        validation = 8
        """,
        encoding="utf-8",
    )
    yield place
