"""Templates, words and the three formulations."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import Item, wording
from bactrian.evaluate.tasks.wording import Question

TOLD: dict[str, Any] = {
    "version": "1",
    "languages": "de,zh",
    "fields": ["stem"],
    "templates": {
        "cloze": {"context": "{stem}\n{answer}{colon}"},
        "letter": {"context": "{stem}\n{options}\n{answer}{colon}", "option": "{space}{letter}"},
    },
    "default": {"space": "_"},
    "words": {"zh": {"answer": "回答"}},
}
WORDS = wording.of_values(TOLD, "f.toml")
ASKED = Question("1", {"stem": "S {answer}"}, ("eins", "zwei"), 1, "g", "c")


def test_words_come_from_the_common_ones_the_defaults_and_the_language() -> None:
    assert WORDS.words["de"]["answer"] == "Antwort"
    assert WORDS.words["zh"]["answer"] == "回答"
    assert (WORDS.words["de"]["colon"], WORDS.words["zh"]["colon"]) == (":", "：")
    assert WORDS.words["de"]["space"] == WORDS.words["zh"]["space"] == "_"
    assert set(WORDS.words) == {"de", "zh"}


@pytest.mark.parametrize(
    ("code", "form", "context", "options", "texts"),
    [
        ("de", "cloze", "S {answer}\nAntwort:", ("_eins", "_zwei"), ("eins", "zwei")),
        ("zh", "cloze", "S {answer}\n回答：", ("_eins", "_zwei"), ("eins", "zwei")),
        ("de", "letter", "S {answer}\nA. eins\nB. zwei\nAntwort:", ("_A", "_B"), ("A", "B")),
    ],
)
def test_a_question_is_put_into_words(
    code: str, form: str, context: str, options: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    """What stands in braces in the data is text like any other."""
    expected = Item("1", context, options, 1, texts, (), "g", "c")
    assert wording.ask(ASKED, WORDS, code, form) == expected


def test_letters_may_be_the_languages_own() -> None:
    told = {**TOLD, "words": {"de": {"letters": "XYZ"}, "zh": {}}}
    found = wording.ask(ASKED, wording.of_values(told, "f"), "de", "letter")
    assert found.options == ("_X", "_Y")


def test_more_options_than_letters_are_no_matter_to_a_cloze() -> None:
    many = Question("1", {"stem": "S"}, tuple(map(str, range(12))), 11)
    assert len(wording.ask(many, WORDS, "de", "cloze").options) == 12
    with pytest.raises(DataError, match="1 has 12 options, there are 10 letters"):
        wording.ask(many, WORDS, "de", "letter")


@pytest.mark.parametrize(
    ("template", "filled"),
    [("{a}{b}", "1{c}"), ("{{a}} {a}", "{a} 1"), ("{ a } {}", "{ a } {}"), ("{{{a}}}", "{1}")],
)
def test_doubled_braces_are_braces(template: str, filled: str) -> None:
    assert wording.fill(template, {"a": "1", "b": "{c}"}) == filled


def test_the_mark_follows_every_word_and_nothing_else() -> None:
    same = wording.of_values({**TOLD, "version": "2"}, "g.toml")
    assert same.mark == WORDS.mark
    for changed in (
        {**TOLD, "words": {"zh": {"answer": "答"}}},
        {**TOLD, "default": {"space": ""}},
        {**TOLD, "templates": {"cloze": {"context": "{stem}"}}},
        {**TOLD, "labels": {"de": {"a": "b"}}},
    ):
        assert wording.of_values(changed, "f.toml").mark != WORDS.mark


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"word": {}}, "f: unknown key word"),
        ({"templates": {"cloze": {"text": "x"}}}, "f: templates.cloze: unknown key text"),
        ({"templates": {"cloze": {"option": "x"}}}, "f: templates.cloze has no context"),
        ({"templates": 3}, "f: templates is no table"),
        ({"words": {"de": "x"}}, "f: words.de is no table of texts"),
        ({"labels": {"de": {"a": 1}}}, "f: labels.de is no table of texts"),
    ],
)
def test_what_is_no_wording_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wording.of_values({**TOLD, **changes}, "f")
    assert caught.value.problem == problem
