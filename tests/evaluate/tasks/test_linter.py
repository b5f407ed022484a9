"""Every fault that needs no reader, planted; and none in the words that are shipped."""

from __future__ import annotations

import unicodedata
from importlib.resources import files
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError
from bactrian.evaluate.tasks import linter, wording

SHIPPED = sorted(
    path.name.removesuffix(".toml")
    for path in (files("bactrian.evaluate.tasks") / "words").iterdir()
)
GOOD: dict[str, Any] = {
    "version": "1",
    "fields": ["text"],
    "templates": {
        "cloze": {"context": "{text}\n{topic}{colon}"},
        "letter": {"context": "{text}\n{options}\n{topic}{colon}", "option": "{space}{letter}"},
    },
    "words": {"ru": {"topic": "Тема"}, "zh": {"topic": "主题"}, "ka": {"topic": "თემა"}},
    "labels": {
        "ru": {"a": "спорт", "b": "наука"},
        "zh": {"a": "体育", "b": "科学"},
        "ka": {"a": "სპორტი", "b": "მეცნიერება"},
    },
}


def planted(*path: str, value: object) -> dict[str, Any]:
    """Return the good file with one value changed; None takes the key away."""

    def changed(told: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        key, *rest = keys
        if rest:
            return {**told, key: changed(told.get(key, {}), tuple(rest))}
        left = {name: one for name, one in told.items() if name != key}
        return left if value is None else {**told, key: value}

    return changed(GOOD, path)


def test_what_is_right_is_passed() -> None:
    assert linter.problems(wording.of_values(GOOD, "good.toml")) == ()


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "common"])
def test_the_words_that_are_shipped_have_no_fault(name: str) -> None:
    assert linter.problems(wording.builtin(name)) == ()


def test_the_common_words_have_no_fault_and_are_there_in_every_language() -> None:
    found = linter.problems(wording.builtin("common"))
    words = ("answer", "colon", "question", "space")
    unused = [f"the word {name} is in no template" for name in words]
    assert [one for one in found if one not in (*unused, "there are no templates")] == []
    codes = {language.code for language in languages.every_language()}
    assert wording.builtin("common").words.keys() == codes
    assert wording.builtin("sib200").words.keys() == {
        language.code for language in languages.all_languages()
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_the_header_says_who_read_it(name: str) -> None:
    text = (files("bactrian.evaluate.tasks") / "words" / f"{name}.toml").read_text("utf-8")
    wording_of_its_own = any(key in text for key in ("[words.", "[labels."))
    assert not wording_of_its_own or "NATIVE SPEAKERS" in text.split("version")[0]


PLANTED = [
    (("version",), None, "version is lacking"),
    (("templates",), {}, "there are no templates"),
    (("templates", "cloze", "context"), "{txet}{topic}", "unknown placeholder {txet}"),
    (("templates", "cloze", "context"), "{topic}{colon}", "templates.cloze.context has no {text}"),
    (("templates", "cloze", "option"), "{space}", "neither {option} nor {letter}"),
    (("templates", "letter", "context"), "{text}{topic}", "does not show {options}"),
    (("templates", "cloze", "context"), "{text}\u200b{topic}", "invisible characters: U+200B"),
    (("templates", "cloze", "context"), "Topic: {text}{topic}", "that Russian is not written in"),
    (("templates", "cloze", "option"), "（答）{option}", "that Russian is not written in"),
    (("words", "ru", "topic"), None, "words.ru has no topic"),
    (("words", "ru", "topik"), "Тема", "the word topik is in no template"),
    (("words", "ru", "topic"), "Tема", "words.ru.topic has letters of Latn"),
    (("words", "zh", "topic"), "Topic", "words.zh.topic has letters of Latn"),
    (("words", "ka", "topic"), "თема", "words.ka.topic has letters of Cyrl"),
    (("words", "ru", "topic"), " Тема", "begins or ends with white space"),
    (("words", "ru", "topic"), "", "words.ru.topic is empty"),
    (("words", "ru", "topic"), unicodedata.normalize("NFD", "Тайм"), "words.ru.topic is not NFC"),
    (("words", "zh", "colon"), ":", "words.zh.colon is ':', in Chinese it is '：'"),
    (("words", "ru", "colon"), "：", "in Russian it is ':'"),
    (("words", "ru", "letters"), "AAB", "two letters are the same"),
    (("words", "jp"), {"topic": "話題"}, 'unknown language "jp"'),
    (("words", "jav"), {"topic": "Topik"}, "the language jav is written jv here"),
    (("labels", "ru", "b"), "Спорт", "labels.ru.b is the same as a"),
    (("labels", "zh", "b"), None, "labels.zh has no b"),
    (("labels", "zh", "c"), "电影", "labels.zh.c is in no other language"),
    (("labels", "zh"), {"b": "科学", "a": "体育"}, "in another order"),
    (("labels", "ru", "b"), "\u200b", "labels.ru.b is empty"),
]


@pytest.mark.parametrize(("path", "value", "problem"), PLANTED)
def test_a_planted_fault_is_found(path: tuple[str, ...], value: object, problem: str) -> None:
    found = linter.problems(wording.of_values(planted(*path, value=value), "f.toml"))
    assert any(problem in one for one in found), found


def test_the_first_fault_refuses_the_file_by_name() -> None:
    bad = wording.of_values(planted("words", "ru", value={"topic": "Topic"}), "f.toml")
    linter.refuse(wording.of_values(GOOD, "f.toml"), "f.toml")
    with pytest.raises(ConfigError, match=r"^f\.toml: words\.ru\.topic has letters of Latn"):
        linter.refuse(bad, "f.toml")
