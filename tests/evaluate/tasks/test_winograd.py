"""Tokens, a span and candidates become a sentence with a gap."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.tasks.reading import Record
from bactrian.evaluate.tasks.winograd import gapped


def record(sentence: str, tokens: list[str], pronoun: Any, candidates: Any) -> Record:
    cells = {"tokens": tokens, "pronoun": pronoun, "candidates": candidates}
    told = {key: json.dumps(value) for key, value in cells.items()}
    return Record("f, line 1", {"sentence": sentence, **told})


TWO = [["A", [0, 1], ["A"], False], ["B", [1, 2], ["B"], True]]


@pytest.mark.parametrize(
    ("sentence", "tokens", "span", "expected"),
    [
        ("A saw B as he left.", "A|saw|B|as|he|left|.", [4, 5], "A saw B as _ left."),
        (
            "狼は牛を食べた。彼らが旨い。",
            "狼|は|牛|を食べた。|彼ら|が旨い。",
            [4, 5],
            "狼は牛を食べた。_が旨い。",
        ),
        ('A said "B" as he', "A|said|``|B|''|as|he", [6, 7], 'A said "B" as _'),
        ("A  saw B, the  man left", "A|saw|B|,|the|man|left", [4, 6], "A  saw B, _ left"),
        ("he saw that he left", "he|saw|that|he|left", [3, 4], "he saw that _ left"),
    ],
)
def test_the_pronoun_becomes_the_gap(
    sentence: str, tokens: str, span: list[int], expected: str
) -> None:
    found = gapped(record(sentence, tokens.split("|"), ["he", span, ["he"]], TWO), "_")
    assert found.values == {"sentence": expected, "option1": "A", "option2": "B", "answer": 2}


@pytest.mark.parametrize(
    ("tokens", "span", "candidates", "problem"),
    [
        (["A", "X", "he"], [2, 3], TWO, "the tokens are not those of the sentence"),
        (["A", "he"], [1, 1], TWO, "the tokens are not those of the sentence"),
        (["A", "he"], [1, 2], TWO[:1], "not two candidates with one right"),
        (["A", "he"], [1, 2], [TWO[0], TWO[0]], "not two candidates with one right"),
        (["A", "he"], [1, 2], [TWO[1], TWO[1]], "not two candidates with one right"),
    ],
)
def test_what_does_not_fit_is_named(
    tokens: list[str], span: list[int], candidates: Any, problem: str
) -> None:
    with pytest.raises(DataError, match=f"f, line 1: {problem}"):
        gapped(record("A he", tokens, ["he", span, ["he"]], candidates), "_")


def test_a_cell_that_is_no_json_is_named() -> None:
    with pytest.raises(DataError, match="f, line 1: tokens is no JSON"):
        gapped(Record("f, line 1", {"sentence": "A", "tokens": "["}), "_")
