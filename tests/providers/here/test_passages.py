"""Cutting and joining: nothing is lost, in any script, whatever fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bactrian.providers.here.passages import cut, join
from bactrian.text import grapheme_count


def size(text: str) -> int:
    """A token for every three bytes, and two around them."""
    return len(text.encode()) // 3 + 2


def sent(text: str, room: int = 1000, *, together: bool = False) -> list[str]:
    parts = cut(text, size, room, together=together)
    assert "".join(part.text for part in parts) == text
    return [part.text for part in parts if part.sent]


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("", []),
        (" \t\n", []),
        ("3 + 4 = ?", []),
        ("[X0X]", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met J. K. Rowling in the U.S. He left.", None),
        ('He said "Hi there." Then he left.', ['He said "Hi there."', "Then he left."]),
        ("It costs 3.50 e.g. here. No. 5 is v1.2. Go on", None),
        ("Wait... what? Yes... Maybe", ["Wait... what?", "Yes...", "Maybe"]),
        ("1. Do this\n2) And that. Or not", ["Do this", "And that.", "Or not"]),
        ("- red\n* green\n• blue\n# Head", ["red", "green", "blue", "Head"]),
        ("A. Paris\r\nB. Rome", ["Paris", "Rome"]),
        (
            "他说：“你好。”然后走了。真的吗？是！",
            ["他说：“你好。”", "然后走了。", "真的吗？", "是！"],
        ),
        ("दूसरा वाक्य है। तीसरा वाक्य।", ["दूसरा वाक्य है।", "तीसरा वाक्य।"]),
        ("ជំរាបសួរ។ សួស្តី។", ["ជំរាបសួរ។", "សួស្តី។"]),
        ("هل هذا صحيح؟ نعم. ربما", ["هل هذا صحيح؟", "نعم.", "ربما"]),
        ("ეს არის ერთი. ეს არის ორი.", ["ეს არის ერთი.", "ეს არის ორი."]),
        ("一\u2028二", ["一", "二"]),
    ],
)
def test_a_line_is_cut_at_the_ends_of_its_sentences(text: str, passages: list[str] | None) -> None:
    if passages is None:  # what has full stops within
        passages = {
            "D": ["Dr. Smith met J. K. Rowling in the U.S. He left."],
            "I": ["It costs 3.50 e.g. here.", "No. 5 is v1.2.", "Go on"],
        }[text[0]]
    assert sent(text) == passages


def test_five_sentences_in_a_row_are_five_in_every_language(
    sentences: Mapping[str, Sequence[str]],
) -> None:
    differing = {}
    for code, several in sentences.items():
        joint = "" if code in ("zh", "ja") else " "
        found = sent(joint.join(several))
        if len(found) != 5:
            differing[code] = len(found)
    # Thai has no full stop; some lines of Pashto and Sinhala have none; Latvian has "plkst. 11"
    assert differing == {"th": 1, "ps": 3, "si": 4, "lv": 6}


@pytest.mark.parametrize("room", [4, 12, 40, 150])
def test_whatever_fits_nothing_is_lost_and_no_cluster_is_cut(
    sentences: Mapping[str, Sequence[str]], room: int
) -> None:
    for code, several in sentences.items():
        text = "\n".join([" ".join(several), "", "".join(several)])
        for together in (False, True):
            found = sent(text, room, together=together)
            for passage in found:
                assert size(passage) <= room or grapheme_count(passage) == 1, code
            clusters = sum(map(grapheme_count, found))
            spaces = len(text) - sum(map(len, found))
            assert clusters + spaces >= grapheme_count(text), code


def test_flags_and_families_are_not_cut() -> None:
    text = "🇫🇷🇩🇪👨‍👩‍👧‍👦🇯🇵é가" * 3
    found = {part.text for part in cut(text, size, 3)}
    assert {"🇫🇷", "🇩🇪", "👨‍👩‍👧‍👦", "🇯🇵"} <= found


def test_together_a_passage_is_as_many_sentences_as_fit() -> None:
    text = "One is here. Two is here. Three is here."
    assert sent(text, together=True) == [text]
    half = size("One is here. Two is here.")
    assert sent(text, half, together=True) == ["One is here. Two is here.", "Three is here."]
    assert len(sent("One.\nTwo.", together=True)) == 2


def test_too_long_a_sentence_is_cut_after_clauses_then_between_words() -> None:
    text = "the first part of it, the second part of it, the third part of it"
    assert sent(text, size("the second part of it,")) == [
        "the first part of it,",
        "the second part of it,",
        "the third part of it",
    ]
    assert sent("one two three four", size("three")) == ["one", "two", "three", "four"]
    assert "".join(sent("ภาษาไทยไม่มีช่องว่าง", 6)) == "ภาษาไทยไม่มีช่องว่าง"


@pytest.mark.parametrize(
    ("text", "script", "joined"),
    [
        ("One. Two.  Three.\nFour.", "Latn", "<One.> <Two.>  <Three.>\n<Four.>"),
        ("One. Two.  Three.\nFour.", "Hans", "<One.><Two.><Three.>\n<Four.>"),
        ("One. Two.", "Jpan", "<One.><Two.>"),
        ("One. Two.", "Thai", "<One.> <Two.>"),
        ("一。二。", "Latn", "<一。> <二。>"),
        ("一。二。", "Jpan", "<一。><二。>"),
        ("1. One. \t", "Khmr", "1. <One.> \t"),
    ],
)
def test_the_target_s_script_says_what_stands_between(text: str, script: str, joined: str) -> None:
    parts = cut(text, size, 1000)
    translated = {part.text: f"<{part.text}>" for part in parts if part.sent}
    assert join(parts, translated, script) == joined
