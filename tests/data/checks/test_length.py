"""Absurd lengths are caught, by what each language takes beside English."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from bactrian import languages
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.length import expected_ratio, length, prose_length
from bactrian.schema import Flag

MakeRow = Callable[..., Checked]
CODES = [one.code for one in languages.all_languages()]
OTHER = [code for code in CODES if code != "en"]


def look(row: Checked) -> Flag | None:
    return length(row, CheckSettings())


@pytest.mark.parametrize("code", CODES)
def test_the_table_fits_the_samples(code: str, flores: dict[str, list[str]]) -> None:
    pairs = zip(flores[code], flores["en"], strict=True)
    measured = median(prose_length(own) / prose_length(english) for own, english in pairs)
    assert measured == pytest.approx(expected_ratio(code), rel=0.25)


def test_a_language_that_was_not_measured_counts_as_english() -> None:
    assert expected_ratio("eu") == 1.0
    assert expected_ratio("zh") < 0.5 < 1.2 < expected_ratio("tl")


@pytest.mark.parametrize("code", OTHER)
def test_far_too_short_and_far_too_long_are_caught(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    assert look(make_row(code)) is None
    english, own = " ".join(flores["en"] * 3), " ".join(flores[code])
    short = look(make_row(code, output=own[: len(own) // 15], source_output=english))
    long = look(make_row(code, output=own * 8, source_output=flores["en"][2]))
    for found in (short, long):
        assert found is not None
        assert (found.severity, found.field) == ("reject", "output")
        assert "are expected" in found.reason


def test_unusual_is_worth_a_look(flores: dict[str, list[str]], make_row: MakeRow) -> None:
    own = (flores["ru"][2] + " ") * 3
    found = look(make_row("ru", output=own, source_output=flores["en"][2]))
    assert found is not None
    assert found.severity == "warn"


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("Да.", "Yes, of course it is."),
        ("Париж находится во Франции.", "Paris."),
        ("", "word " * 99),
    ],
)
def test_short_and_empty_text_says_nothing(output: str, source: str, make_row: MakeRow) -> None:
    assert look(make_row("ru", output=output, source_output=source)) is None


@pytest.mark.parametrize("code", ["zh", "ja", "km", "hi"])
def test_code_is_as_long_in_every_language(code: str, make_row: MakeRow) -> None:
    body = "\n".join(f"    total{i} = first{i} + second{i}" for i in range(12))
    function = f"def add():\n{body}\n    return total"
    assert look(make_row(code, output=function, source_output=function)) is None


def test_invisible_characters_do_not_count(flores: dict[str, list[str]], make_row: MakeRow) -> None:
    spread = "\u200b\u200b\u200b\u200b".join(flores["km"][2])
    assert prose_length(spread) < 2 * prose_length(flores["km"][2])


def test_without_a_source_nothing_is_expected(make_row: MakeRow) -> None:
    assert look(make_row("vi", source_output="")) is None
    assert look(make_row("en", output="word " * 99)) is None
