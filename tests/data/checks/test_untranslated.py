"""English left standing is caught; what is the same in every language is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian import languages
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.untranslated import untranslated
from bactrian.schema import Flag

MakeRow = Callable[..., Checked]
CODES = [one.code for one in languages.all_languages() if one.code != "en"]
LANGUAGES = ["de", "zh", "km", "th", "ar", "hi", "ru"]


def look(row: Checked) -> Flag | None:
    return untranslated(row, CheckSettings())


@pytest.mark.parametrize("code", CODES)
def test_the_english_instruction_is_caught(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    assert look(make_row(code)) is None
    for kept in (flores["en"][1], f"  {flores['en'][1].upper()} "):
        found = look(make_row(code, instruction=kept))
        assert found is not None
        assert (found.severity, found.field) == ("reject", "instruction")
        assert found.evidence == kept.strip()


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_english_output_is_caught_even_reworded_a_little(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    english = f"{flores['en'][2]} {flores['en'][3]}"
    for kept in (english, english.replace("focus on", "centre on"), english[:-20]):
        found = look(make_row(code, output=kept))
        assert found is not None
        assert (found.severity, found.field) == ("reject", "output")


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize(
    "answer",
    [
        "42",
        "Barack Obama, Angela Merkel",
        "The Lord of the Rings",
        "https://example.org/a",
        "x = 5\nprint(x)",
        "dy/dx = 3x^2 + 2x",
        "sarahjones34",
        "WiFi_setup_instructions.doc",
        "S$3qhz!x",
        "import numpy as np\n\n# Load the data\nx = np.load('a')\nx.fit(1)",
    ],
)
def test_what_is_the_same_in_every_language_passes(
    code: str, answer: str, make_row: MakeRow
) -> None:
    assert look(make_row(code, output=answer, source_output=answer)) is None


@pytest.mark.parametrize("answer", ["Positive", "Owl, raccoon, bat", "yes"])
def test_a_short_english_answer_in_another_script_is_caught(answer: str, make_row: MakeRow) -> None:
    found = look(make_row("km", output=answer, source_output=answer))
    assert found is not None
    assert found.severity == "reject"


def test_an_instruction_is_never_just_names(make_row: MakeRow) -> None:
    for task in ("Describe the Big Bang Theory", "Divide 19 by 4."):
        found = look(make_row("zh", instruction=task, source_instruction=task))
        assert found is not None
        assert found.field == "instruction"


@pytest.mark.parametrize("task", ["2 + 2 = ?", "`x += 1`"])
def test_an_instruction_without_words_passes(task: str, make_row: MakeRow) -> None:
    assert look(make_row("zh", instruction=task, source_instruction=task)) is None


def test_a_quotation_may_stay(make_row: MakeRow) -> None:
    row = make_row(
        "zh",
        instruction="改写这句话，“She is taking a short break from practice”",
        source_instruction='Rewrite this sentence, "She is taking a short break from practice"',
    )
    assert look(row) is None


def test_answers_in_english_that_the_task_asks_for_pass(make_row: MakeRow) -> None:
    answer = "I love to go hiking in the hills."
    for task in ("Translate this into English.", "Say it in English."):
        row = make_row("th", source_instruction=task, output=answer, source_output=answer)
        assert look(row) is None
    row = make_row("th", source_instruction="Say it.", output=answer, source_output=answer)
    assert look(row) is not None


@pytest.mark.parametrize("task", ["将下列单词改为复数形式：ox", "写出名词“ox”的复数形式。"])
def test_a_word_for_a_kept_word_gets_a_warning(task: str, make_row: MakeRow) -> None:
    fields = {"source_instruction": 'Write the plural of "ox".', "source_output": "oxen"}
    found = look(make_row("zh", instruction=task, output="oxen", **fields))
    assert found is not None
    assert found.severity == "warn"


def test_english_that_is_worked_on_gets_a_warning(make_row: MakeRow) -> None:
    fields = {"output": "she went home early", "source_output": "She went home early"}
    wrong = "she go home early because she was tired"
    found = look(make_row("hi", input=wrong, source_input=wrong, **fields))
    assert found is not None
    assert (found.severity, found.field) == ("warn", "output")


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_input_kept_in_english_gets_a_warning(code: str, make_row: MakeRow) -> None:
    text = "the train was late again this morning"
    found = look(make_row(code, input=text, source_input=text))
    assert found is not None
    assert (found.severity, found.field) == ("warn", "input")
    assert look(make_row(code, input="3 + 4", source_input="3 + 4")) is None


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_output_that_only_repeats_the_input_gets_a_warning(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    own = flores[code][2]
    fields = {"input": own, "output": own, "source_input": "She go home."}
    found = look(make_row(code, **fields, source_output="She went home."))
    assert found is not None
    assert (found.severity, found.field) == ("warn", "input")
    assert look(make_row(code, **fields, source_output="She go home.")) is None


def test_english_rows_are_not_compared_with_themselves(make_row: MakeRow) -> None:
    assert look(make_row("en")) is None
