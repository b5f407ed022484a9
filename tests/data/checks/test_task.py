"""What the English task asks for, read from its words."""

from __future__ import annotations

import pytest

from bactrian.data.checks import task


@pytest.mark.parametrize(
    ("instruction", "named"),
    [
        ("Say hello in French and Swahili.", {"fr", "sw"}),
        ("Name a Latin motto.", {"Latin"}),
        ("Polish the floor.", {"pl"}),
        ("polish the floor", set()),
        ("Name three fruits.", set()),
    ],
)
def test_languages_named(instruction: str, named: set[str]) -> None:
    assert task.languages_named(instruction) == named


@pytest.mark.parametrize("instruction", ["Translate it", "Transliterate this.", "Use a cipher"])
def test_asks_to_translate(instruction: str) -> None:
    assert task.asks_to_translate(instruction)
    assert not task.asks_to_translate("Describe a translucent stone.")


@pytest.mark.parametrize(
    ("value", "neutral"),
    [
        ("", True),
        ("12.5", True),
        ("Marie Curie", True),
        ("The Old Man and the Sea", True),
        ("a red house", False),
        ("Paris is large", False),
        ("`a red house`", True),
    ],
)
def test_is_neutral(value: str, neutral: bool) -> None:
    assert task.is_neutral(value) is neutral


def test_labels_count_as_english_where_asked() -> None:
    assert task.is_neutral("Positive")
    assert not task.is_neutral("Positive", labels=True)


def test_kept_quotes_are_those_of_the_source() -> None:
    given = "Verbessere „two men“ und “three cats”"
    assert [given[a:b] for a, b in task.kept_quotes(given, 'Correct "three cats"')] == [
        "“three cats”"
    ]
    assert len(task.kept_quotes(given, "")) == 2


def test_reads_as_english_needs_prose() -> None:
    assert task.reads_as_english("This is what they have done")
    assert not task.reads_as_english("for x in range: return not y")
    assert not task.reads_as_english("Das ist gut")
