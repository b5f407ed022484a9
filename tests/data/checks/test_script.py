"""Another script is caught; names, code and what the task asks for are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian import languages
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.script import NAMES, script

MakeRow = Callable[..., Checked]
CODES = [one.code for one in languages.all_languages()]
OTHER = [code for code in CODES if languages.get(code).script != "Latn"]
LATIN = [code for code in CODES if languages.get(code).script == "Latn"]


@pytest.mark.parametrize("code", OTHER)
def test_swahili_in_another_script_is_caught(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    assert script(make_row(code), CheckSettings()) is None
    for field in ("instruction", "output"):
        found = script(make_row(code, **{field: flores["sw"][2]}), CheckSettings())
        assert found is not None
        assert (found.severity, found.field) == ("reject", field)
        assert found.reason.startswith("Latin script, expected ")
        assert flores["sw"][2][found.start :].startswith(found.evidence)
        assert found.evidence[:3].isalpha()


@pytest.mark.parametrize("code", LATIN)
def test_khmer_in_latin_script_is_caught(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    found = script(make_row(code, output=flores["km"][2]), CheckSettings())
    assert found is not None
    assert found.reason.startswith("Khmer script, expected Latin")


def test_scripts_have_names() -> None:
    assert {one.script for one in languages.every_language()} <= NAMES.keys()


def test_a_foreign_tail_is_shown_where_it_begins(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    own, foreign = flores["th"][0][:20], " ".join(flores["et"])
    found = script(make_row("th", output=f"{own} {foreign}"), CheckSettings())
    assert found is not None
    assert found.start > len(own)
    assert len(found.evidence) == 200


@pytest.mark.parametrize("code", ["zh", "km", "th", "ar", "hi", "ru"])
@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("Name four singers.", "Taylor Swift, Freddie Mercury, Adele, Nina Simone"),
        ("Write a function that adds.", "def add(first, second):\n    return first + second"),
        ("Give the address of the site.", "https://www.example.org/some/long/path/to/page"),
        ("What is the formula of sulphuric acid?", "H2SO4"),
        ("Which acronym is it?", "UNESCO"),
        ("Translate it into Spanish.", "la casa de mi hermana es muy grande"),
        ("How does one say it in Swahili?", "nyumba ya dada yangu ni kubwa sana"),
        ("Add up.", "12 + 30 = 42"),
    ],
)
def test_answers_that_are_rightly_latin_pass(
    code: str, task: str, answer: str, make_row: MakeRow
) -> None:
    row = make_row(code, source_instruction=task, output=answer)
    assert script(row, CheckSettings()) is None


def test_words_of_the_source_are_not_counted(make_row: MakeRow) -> None:
    output = "« open source software license »"
    kept = make_row("ru", output=output, source_output="It is open source software license")
    assert script(kept, CheckSettings()) is None
    assert script(make_row("ru", output=output), CheckSettings()) is not None


def test_naming_one_language_does_not_excuse_another(make_row: MakeRow) -> None:
    row = make_row(
        "ru", source_instruction="Describe Japanese culture.", output="esta es una casa muy grande"
    )
    assert script(row, CheckSettings()) is not None


def test_without_a_source_a_third_script_is_only_worth_a_look(make_row: MakeRow) -> None:
    nothing = {"source_instruction": "", "source_output": ""}
    found = script(make_row("vi", output="彼女は立派な教師です", **nothing), CheckSettings())
    assert found is not None
    assert found.severity == "warn"
