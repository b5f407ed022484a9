"""Answers in many scripts: which are in the language asked for, and which are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bactrian.evaluate.confusion.judging import judge, known_words, line_is_in, strays, words
from bactrian.languages import all_languages, get

ARABIC = "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها وأكثرها سكانا."
ENGLISH = "The capital of Egypt is Cairo, and it is the largest city of the country."
JAPANESE = "東京は日本の首都であり、世界で最も人口の多い都市の一つです。"
CHINESE = "北京是中华人民共和国的首都，也是全国的政治、文化和国际交流中心。"
KHMER = "ភ្នំពេញគឺជារាជធានីនៃព្រះរាជាណាចក្រកម្ពុជា។"
KOREAN = "서울은 대한민국의 수도이며 가장 큰 도시입니다."
SERBIAN = "Beograd je glavni i najveći grad Srbije i nalazi se na ušću Save u Dunav."
CYRILLIC = "Београд је главни и највећи град Србије и налази се на ушћу Саве у Дунав."
GERMAN = "Berlin ist die Hauptstadt der Bundesrepublik Deutschland und ihre größte Stadt."
RUSSIAN = "Москва является столицей России и самым большим городом этой страны."
CODE = "```python\nfor line in lines:\n    print(line.strip())\n```"


@pytest.mark.parametrize(
    ("code", "answer", "lines", "in_words"),
    [
        ("ar", ARABIC, True, True),
        ("ar", ENGLISH, False, None),
        ("ar", f"{ARABIC}\n{ENGLISH}", False, None),
        ("ar", ARABIC.replace("هي", "هي absolutely"), True, False),
        ("ar", f"{ARABIC}\n{CODE}", True, True),
        ("ar", CODE, None, None),
        ("ar", "", None, None),
        ("ar", "42", None, None),
        ("ar", f"NASA ({ARABIC}) 25 km", True, True),
        ("ja", JAPANESE, True, True),
        ("ja", "新しい iPhone と Microsoft Surface が発売されました。", True, True),
        ("ja", "新しいprinterを買いましたが、まだ使っていません。", True, False),
        ("ja", CHINESE, False, None),
        ("zh", CHINESE, True, True),
        ("zh", JAPANESE, False, None),
        ("zh", KOREAN, False, None),
        ("zh", CHINESE.replace("首都", "首都の"), True, False),
        ("ko", KOREAN, True, True),
        ("ko", CHINESE, False, None),
        ("sr", CYRILLIC, True, True),
        ("sr", SERBIAN, True, True),
        ("sr", ENGLISH, False, None),
        ("km", KHMER, True, True),
        ("km", f"{KHMER[:20]} however {KHMER[20:]}", True, False),
        ("km", ENGLISH, False, None),
        ("de", GERMAN, True, True),
        ("de", ENGLISH, False, None),
        ("de", f"{GERMAN}\n\n- {ENGLISH}", False, None),
        ("de", GERMAN.replace("Hauptstadt", "столица"), True, False),
        ("de", f"{GERMAN} α und π", True, True),
        ("de", RUSSIAN, False, None),
        ("de", "Ja.", None, None),
        ("uk", RUSSIAN, False, None),
        ("ru", RUSSIAN, True, True),
    ],
)
def test_lines_and_words(code: str, answer: str, lines: bool | None, in_words: bool | None) -> None:
    found = judge(answer, get(code))
    assert (found.lines, found.words) == (lines, in_words), found.shows


def test_words_of_the_prompt_may_stand_in_the_answer() -> None:
    answer = "このpandasは便利です。とても使いやすいライブラリだと思います。"
    assert judge(answer, get("ja")).words is False
    assert judge(answer, get("ja"), known_words("pandasとは何ですか")).words is True


def test_words_are_parted_where_the_script_changes() -> None:
    assert [(one.script, one.text) for one in words("新しいprinterを")] == [
        ("Hani", "新"),
        ("Hira", "しい"),
        ("Latn", "printer"),
        ("Hira", "を"),
    ]
    assert [one.text for one in words("l'été द्वि")] == ["l'été", "द्वि"]


def test_a_letter_of_another_script_inside_a_word_is_found() -> None:
    """A Cyrillic а that looks like a Latin one is what a model should not have written."""
    assert [one.script for one in strays("Hаuptstadt", get("de"))] == ["Cyrl"]


def test_what_speaks_against_an_answer_is_shown() -> None:
    assert judge(f"{ARABIC}\n{ENGLISH}", get("ar")).shows == ENGLISH
    assert judge(ARABIC.replace("هي", "هي absolutely"), get("ar")).shows == "absolutely"


def test_refusals_loops_and_silence_are_seen() -> None:
    refused = judge("عذرا، لا يمكنني المساعدة في ذلك.", get("ar"))
    assert refused.refused
    assert judge("I'm sorry, but I can't help with that.", get("km")).refused
    assert not judge(ARABIC, get("ar")).refused
    assert judge("ភ្នំពេញ " * 30, get("km")).loops
    assert not judge(KHMER, get("km")).loops
    assert judge(" \u200b\n", get("th")).empty
    assert not judge("។", get("km")).empty
    assert judge("x", get("en"), cut=True).cut


def test_real_sentences_are_in_their_language(sentences: Mapping[str, Sequence[str]]) -> None:
    """Five of FLORES in each of 52 languages; no line is taken for another language's."""
    wrong = [
        (code, text)
        for code, several in sentences.items()
        for text in several
        if line_is_in(text, get(code)) is False
    ]
    assert wrong == []


def test_real_english_is_in_no_other_language(sentences: Mapping[str, Sequence[str]]) -> None:
    taken = [
        (language.code, text)
        for language in all_languages()
        for text in sentences["en"]
        if language.code != "en" and line_is_in(text, language) is not False
    ]
    assert taken == []
