"""Real rows, English and translated: every one comes back, and the counts are known."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.spans import find, join, pieces, protect, restore

DATA = Path(__file__).parents[3] / "shared" / "data"
ALPACA = DATA / "alpaca" / "alpaca_data.json.gz"
TRANSLATED = sorted((DATA / "alpaca_translated").glob("*.jsonl.gz"))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


def comes_back(text: str) -> bool:
    protected = protect(text)
    restored = restore(protected.masked, protected.spans)
    cut = pieces(text)
    joined = join(cut, [piece.text for piece in cut if piece.sent])
    return restored.whole and restored.text == text and joined == text


@pytest.mark.skipif(not ALPACA.exists(), reason="needs ../shared/data/alpaca, not in a clone")
def test_every_row_of_alpaca_comes_back() -> None:
    with gzip.open(ALPACA, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    assert len(rows) == 52_002
    broken = 0
    counts: Counter[str] = Counter()
    for row in rows:
        values = (row["instruction"], row["input"])
        broken += sum(not comes_back(value) for value in values)
        counts.update({span.kind for value in values for span in find(value)})
    assert broken == 0
    low = {"code": 440, "formula": 430, "url": 300, "email": 15, "markup": 38,
           "placeholder": 470, "name": 95, "number": 1950, "quote": 1200}  # fmt: skip
    high = {kind: round(count * 1.12) for kind, count in low.items()}
    assert all(low[kind] <= counts[kind] <= high[kind] for kind in low), counts


@pytest.mark.skipif(not TRANSLATED, reason="needs ../shared/data/alpaca_translated")
@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_translated_rows_come_back(path: Path) -> None:
    seen = 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % 5:
                continue
            for text in texts(json.loads(line)):
                assert comes_back(text), text
                seen += 1
    assert seen > 900
