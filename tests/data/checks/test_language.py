"""Another language of the same script is caught; neighbours and names are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian import languages
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.language import language

MakeRow = Callable[..., Checked]


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("de", "nl"),
        ("nl", "en"),
        ("gl", "fr"),
        ("hr", "sl"),
        ("id", "tl"),
        ("vi", "fr"),
        ("xh", "sw"),
        ("ru", "uk"),
        ("uk", "ru"),
        ("mk", "ru"),
        ("kk", "mn"),
        ("hi", "mr"),
        ("ne", "hi"),
        ("ar", "fa"),
        ("fa", "ur"),
        ("ur", "ps"),
    ],
)
def test_another_language_is_caught(
    code: str, other: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    assert language(make_row(code), CheckSettings()) is None
    for field in ("instruction", "output"):
        row = make_row(code, **{field: flores[other][2]})
        found = language(row, CheckSettings())
        assert found is not None
        assert (found.severity, found.field) == ("reject", field)
        assert found.reason.startswith(f"reads as {other} ")
        assert found.evidence == flores[other][2]


def test_japanese_that_is_chinese_is_caught(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    found = language(make_row("ja", output=flores["zh"][2]), CheckSettings())
    assert found is not None
    assert found.reason.startswith("reads as zh")


@pytest.mark.parametrize("code", [one.code for one in languages.all_languages()])
def test_no_sentence_is_mistaken(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    for sentence in flores[code]:
        assert language(make_row(code, output=sentence), CheckSettings()) is None


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("hr", "Ovo je samo jedan od razloga zbog kojih se ljudi vole vraćati na more."),
        ("id", "Kerajaan telah mengumumkan bahawa sekolah akan dibuka semula esok."),
    ],
)
def test_near_identical_neighbours_pass(code: str, output: str, make_row: MakeRow) -> None:
    assert language(make_row(code, output=output), CheckSettings()) is None


@pytest.mark.parametrize(
    "output",
    ["Sí", "La casa", "Gabriel García Márquez, Julio Cortázar, Octavio Paz, Isabel Allende"],
)
def test_short_text_and_names_pass(output: str, make_row: MakeRow) -> None:
    assert language(make_row("de", output=output), CheckSettings()) is None


def test_what_the_task_asks_for_passes(flores: dict[str, list[str]], make_row: MakeRow) -> None:
    spanish = flores["es"][2]
    for task in ("Say it in Spanish.", "Translate the sentence."):
        row = make_row("de", source_instruction=task, output=spanish)
        assert language(row, CheckSettings()) is None
    row = make_row("de", source_instruction="Say it in French.", output=spanish)
    assert language(row, CheckSettings()) is not None


def test_a_sentence_quoted_from_the_source_is_not_the_instructions_language(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    quote = flores["en"][2]
    task = f'Verbessere: "{quote}"'
    kept = make_row("de", instruction=task, source_instruction=f'Correct: "{quote}"')
    assert language(kept, CheckSettings()) is None
    assert language(make_row("de", instruction=task), CheckSettings()) is not None


def test_an_answer_made_of_the_rows_own_words_passes(make_row: MakeRow) -> None:
    words = "the quick brown fox jumps over the lazy dog"
    task = "Viết hoa chữ cái đầu tiên của mỗi câu, rồi đọc lại thật kỹ trước khi gửi đi:"
    row = make_row("vi", instruction=f"{task} {words}", output=words.capitalize())
    assert language(row, CheckSettings()) is None


def test_without_a_source_a_third_language_is_only_worth_a_look(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    nothing = {"source_instruction": "", "source_output": ""}
    found = language(make_row("vi", output=flores["fr"][2], **nothing), CheckSettings())
    assert found is not None
    assert found.severity == "warn"
    english = language(make_row("vi", output=flores["en"][2], **nothing), CheckSettings())
    assert english is not None
    assert english.severity == "reject"


def test_an_english_row_in_another_language_is_caught(
    flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    german = flores["de"][2]
    found = language(make_row("en", output=german, source_output=german), CheckSettings())
    assert found is not None


def test_a_language_the_identifier_does_not_know_is_left_alone(make_row: MakeRow) -> None:
    base = make_row("id")
    row = Checked(base.example, base.source, languages.get("su"))
    assert language(row, CheckSettings()) is None
