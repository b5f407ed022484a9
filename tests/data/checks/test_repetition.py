"""Loops are caught in any script; refrains, drills and code are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian import languages
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.repetition import repetition
from bactrian.schema import Flag
from bactrian.written.loops import longest_loop

MakeRow = Callable[..., Checked]
CODES = [one.code for one in languages.all_languages()]


def look(row: Checked) -> Flag | None:
    return repetition(row, CheckSettings())


@pytest.mark.parametrize("code", CODES)
def test_a_sentence_in_a_loop_is_caught(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    assert look(make_row(code)) is None
    phrase = flores[code][1][:24]
    found = look(make_row(code, output=f"{flores[code][0]} {f'{phrase} ' * 30}"))
    assert found is not None
    assert (found.severity, found.field) == ("reject", "output")
    row = f"{flores[code][0]} {f'{phrase} ' * 30}"
    assert row[found.start :].startswith(found.evidence)


@pytest.mark.parametrize("code", ["de", "zh", "km", "th", "fa", "hi", "ru"])
@pytest.mark.parametrize("unit", ["00 ", "ha ", "哈", "ៗ ក", "1, 2, 3, "])
def test_numbers_and_single_signs_in_a_loop_are_caught(
    code: str, unit: str, make_row: MakeRow
) -> None:
    assert look(make_row(code, output=unit * 40)) is not None


def test_a_loop_that_begins_late_is_caught_when_it_covers_most(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    loop = "và tôi nghĩ rằng " * 20
    assert look(make_row("vi", output=f"{flores['vi'][2]} {loop}")) is not None
    assert look(make_row("vi", output=f"{' '.join(flores['vi'] * 1)} {loop[:60]}")) is None


def test_what_the_source_repeats_as_well_passes(make_row: MakeRow) -> None:
    refrain = make_row("de", output="la la la " * 9, source_output="la la la " * 9)
    assert look(refrain) is None
    assert look(make_row("de", output="la la la " * 9)) is not None


def test_an_english_row_is_not_its_own_excuse(make_row: MakeRow) -> None:
    assert look(make_row("en", output="no no " * 20, source_output="no no " * 20)) is not None


@pytest.mark.parametrize(
    "output",
    [
        "1. Apfel\n2. Birne\n3. Quitte\n4. Kirsche\n5. Pflaume\n6. Traube\n7. Feige\n8. Dattel",
        "nein nein nein",
        "Je länger ich warte, je länger ich hoffe, je länger ich bleibe, je länger ich lebe.",
        "model.add(Dense(8))\n" * 6,
    ],
)
def test_lists_and_short_repeats_pass(output: str, make_row: MakeRow) -> None:
    assert look(make_row("de", output=output)) is None


def test_the_longest_loop_is_measured() -> None:
    loop = longest_loop("so a b a b a b a b")
    assert (loop.first, loop.times, loop.length) == ("a", 4.0, 8)
    assert loop.share == pytest.approx(8 / 9)
    assert longest_loop("every word here is another one").length == 0
    assert longest_loop("").length == 0
