"""Rows for the checks, made from sentences that exist in all 52 languages."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.data.checks import Checked
from bactrian.schema import Example

REPOSITORY = Path(__file__).parents[3]
SAMPLES = REPOSITORY / "tests" / "samples" / "flores_52.tsv"
SHARED = REPOSITORY.parent / "shared" / "data"

MakeRow = Callable[..., Checked]


@pytest.fixture(scope="session")
def flores() -> dict[str, list[str]]:
    """Five sentences a language; the same position says the same thing."""
    sentences: dict[str, list[str]] = defaultdict(list)
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            sentences[row["language"]].append(row["text"])
    return dict(sentences)


@pytest.fixture
def make_row(flores: dict[str, list[str]]) -> MakeRow:
    """Return a good row of a language, with the fields given instead of its own.

    ``source_instruction`` and the like are the English side's.
    """

    def make(code: str, **fields: str) -> Checked:
        own, english = flores[code], flores["en"]
        example = Example(
            "flores-38",
            code,
            fields.get("instruction", own[1]),
            fields.get("input", ""),
            fields.get("output", f"{own[2]} {own[3]}"),
        )
        source = Example(
            "flores-38",
            "en",
            fields.get("source_instruction", english[1]),
            fields.get("source_input", ""),
            fields.get("source_output", f"{english[2]} {english[3]}"),
        )
        return Checked(example, source, languages.get(code))

    return make


@pytest.fixture
def shared() -> Callable[[str], Iterator[Any]]:
    """Return a reader of gzipped JSON lines under ../shared/data; skips where there is none."""

    def read(name: str) -> Iterator[Any]:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"real data is not beside the repository: {path.name}")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from json.load(file) if name.endswith(".json.gz") else map(json.loads, file)

    return read
