"""The language of a row: 52 languages by sentences, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bactrian.data.sources.identify import NOT_KNOWN, NOT_TOLD, Identified, identify


def test_five_sentences_in_each_of_52_languages(sentences: Mapping[str, Sequence[str]]) -> None:
    told = {
        (code, text): identify(text).code for code, texts in sentences.items() for text in texts
    }
    assert len(told) == 260
    wrong = [(code, found) for (code, _), found in told.items() if found not in (code, "")]
    assert not wrong
    untold = [code for (code, _), found in told.items() if not found]
    assert len(untold) <= 3


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (("给出三个保持健康的秘诀。",), "zh"),
        (("日本の首都はどこですか。",), "ja"),
        (("บอกสาม",), "th"),  # few letters, but only one language has them
        (("List 3.", "", "Apples, pears and plums are fruits that grow in the garden."), "en"),
        (("Translate this sentence into French: I am hungry.", "", "J'ai faim, mon ami."), "en"),
        (("Écris une fonction qui trie une liste.", "", "def tri(liste): return x"), "fr"),
    ],
)
def test_the_instruction_decides_where_it_can(texts: tuple[str, ...], code: str) -> None:
    assert identify(*texts) == Identified(code)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (("", "", ""), f"{NOT_TOLD}: there are no words"),
        (("6 + 3 = ?", "", "9"), f"{NOT_TOLD}: there are no words"),
        (("ok", "", "42"), f"{NOT_TOLD}: there are too few words"),
    ],
)
def test_what_cannot_be_told_says_why(texts: tuple[str, ...], why: str) -> None:
    assert identify(*texts) == Identified("", why)


def test_a_language_that_is_not_known_is_named() -> None:
    found = identify("Quina és la capital de Catalunya i quants habitants hi viuen avui dia?")
    assert found.code == ""
    assert found.why.startswith(f"{NOT_KNOWN}: ca ")
