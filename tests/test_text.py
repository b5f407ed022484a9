"""What Unicode says about a text, in all 52 languages."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bactrian import languages, text

SAMPLES = Path(__file__).parent / "samples" / "flores_52.tsv"


def sentences() -> list[tuple[str, str]]:
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["language"], row["text"]) for row in rows]


def test_samples_are_five_sentences_of_each_language() -> None:
    codes = [code for code, _ in sentences()]
    assert sorted(set(codes)) == sorted(one.code for one in languages.all_languages())
    assert {codes.count(code) for code in codes} == {5}


@pytest.mark.parametrize(("code", "sentence"), sentences())
def test_each_language_is_in_its_script(code: str, sentence: str) -> None:
    assert text.script_share(sentence, languages.get(code).script) > 0.65
    wrong = "Khmr" if languages.get(code).script != "Khmr" else "Latn"
    assert text.script_share(sentence, wrong) < 0.3


@pytest.mark.parametrize(("code", "sentence"), sentences())
def test_tokens_repeat_little_in_real_sentences_and_lose_no_letter(
    code: str, sentence: str
) -> None:
    words = text.tokens(sentence)
    assert len(words) >= 6, "a sentence is more than one token, spaces or not"
    letters = [char for char in sentence if char.isalpha()]
    assert [char for word in words for char in word if char.isalpha()] == letters


@pytest.mark.parametrize(("code", "sentence"), sentences())
def test_no_language_has_characters_that_are_invisible_by_mistake(code: str, sentence: str) -> None:
    script = languages.get(code).script
    assert text.invisibles(sentence, script) == {}
    assert text.invisibles(f"{sentence[:5]}\u00ad{sentence[5:]}\ufeff", script) == {
        "U+00AD": 1,
        "U+FEFF": 1,
    }


@pytest.mark.parametrize(("code", "sentence"), sentences())
def test_prose_of_a_sentence_is_the_sentence_but_for_numbers(code: str, sentence: str) -> None:
    assert {span.kind for span in text.protected_spans(sentence)} <= {"number"}
    assert len(text.prose(sentence)) == len(sentence)


@pytest.mark.parametrize(("code", "sentence"), sentences())
def test_graphemes_are_never_more_than_code_points_and_prefixes_are_whole(
    code: str, sentence: str
) -> None:
    count = text.grapheme_count(sentence)
    assert 0 < count <= len(sentence)
    first = text.first_graphemes(sentence, 10)
    assert sentence.startswith(first)
    assert text.grapheme_count(first) == 10
    assert text.first_graphemes(sentence, count + 1) == sentence


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("日本語のテスト ABC", {"Hani": 3, "Hira": 1, "Kana": 3, "Latn": 3}),
        ("ー", {}),
        ("한국어 漢字", {"Hang": 3, "Hani": 2}),
        ("ខ្មែរ x", {"Khmr": 3, "Latn": 1}),
        ("12 + 3 = 15!", {}),
        ("Ⴀა Ω Ж ב ع", {"Geor": 2, "Grek": 1, "Cyrl": 1, "Hebr": 1, "Arab": 1}),
    ],
)
def test_script_counts_letters_only(given: str, expected: dict[str, int]) -> None:
    assert text.script_counts(given) == expected


def test_writing_systems_of_several_scripts_are_whole() -> None:
    assert text.script_share("これは日本語のテスト", "Jpan") == 1.0
    assert text.script_share("これは", "Hans") == 0.0
    assert text.script_share("학교 學校", "Kore") == 1.0
    assert text.script_share("abc 中", "Hans") == 0.25
    assert text.script_share("1 + 1", "Arab") == 1.0


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("", 0),
        ("abc", 3),
        ("a\r\nb", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("👨‍👩‍👧", 1),
        ("ខ្មែ", 1),
        ("中文", 2),
        ("น้ำ", 1),
    ],
)
def test_grapheme_count(given: str, count: int) -> None:
    assert text.grapheme_count(given) == count


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("The cat, the dog.", ["The", "cat", "the", "dog"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می‌خواهم بروم", ["می‌خواهم", "بروم"]),
        ("00 00 00", ["00", "00", "00"]),
        ("你好，Bob", ["你", "好", "Bob"]),
        ("កម្ពុជា", ["ក", "ម្ពុ", "ជា"]),
        ("ไทย1", ["ไ", "ท", "ย", "1"]),
        ("!!! … —", []),
    ],
)
def test_tokens(given: str, expected: list[str]) -> None:
    assert text.tokens(given) == expected


@pytest.mark.parametrize(
    ("given", "script", "expected"),
    [
        ("می‌خواهم", "Arab", {}),
        ("ക്‍ഷ", "Mlym", {}),
        ("ක්‍රියා", "Sinh", {}),
        ("ক্‌ষ", "Beng", {}),
        ("می‌خواهم", "Latn", {"U+200C": 1}),
        ("កម្ពុ\u200bជា", "Khmr", {}),
        ("kam\u200bpuchea\u200b", "Latn", {"U+200B": 2}),
        ("שלום\u200f!", "Hebr", {}),
        ("hello\u200f!", "Latn", {"U+200F": 1}),
        ("👩‍🔬 ❤️", "Latn", {}),
        ("tab\tline\n", "Latn", {}),
        ("bell\x07", "Latn", {"U+0007": 1}),
    ],
)
def test_joiners_are_spelling_in_some_scripts_and_dirt_in_others(
    given: str, script: str, expected: dict[str, int]
) -> None:
    assert text.invisibles(given, script) == expected


def test_visible_leaves_what_a_reader_sees() -> None:
    assert text.visible("a\u200bb\ufeff") == "ab"
    assert text.visible("plain\n") == "plain\n"


@pytest.mark.parametrize("given", ["", " \n\t", "\u200b\ufeff", "\u3000\u00a0", "\u2800"])
def test_blank(given: str) -> None:
    assert text.is_blank(given)


@pytest.mark.parametrize("given", [".", " 0 ", "\u200bក", "👍"])
def test_not_blank(given: str) -> None:
    assert not text.is_blank(given)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("  It’s   FINE ", "it's fine"),
        ("e\u0301", "é"),
        ("İstanbul", "istanbul"),
        ("عُذْرًا،", "عذرا,"),
        ("نمی‌توانم", "نمی توانم"),
        ("កម្ពុ\u200bជា", "កម្ពុជា"),
        ("“抱歉，”", '"抱歉,"'),
    ],
)
def test_normalise(given: str, same: str) -> None:
    assert text.normalise(given) == text.normalise(same)


def kinds(given: str) -> list[tuple[str, str]]:
    return [(span.kind, given[span.start : span.end]) for span in text.protected_spans(given)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Run `ls -l` now", [("code", "`ls -l`")]),
        ("a\n```py\nx y\n```\nb", [("code", "```py\nx y\n```")]),
        ("a\n```\nnever closed", [("code", "```\nnever closed")]),
        ("请看 https://a.org/b?c=1。好", [("url", "https://a.org/b?c=1")]),
        ("siehe example.com/x heute", [("url", "example.com/x")]),
        ("请写信给me.you@mail.org吧", [("email", "me.you@mail.org")]),
        ("Hallo {first_name}, %s", [("placeholder", "{first_name}"), ("placeholder", "%s")]),
        ("In 1,234.5 und 20%", [("number", "1,234.5"), ("number", "20%")]),
        ("<b>fett</b>", [("markup", "<b>"), ("markup", "</b>")]),
        ("so $x^2 + y$ ist", [("code", "$x^2 + y$")]),
        ("von $5 bis $6", [("number", "5"), ("number", "6")]),
        ("die Datei report_v2.docx", [("name", "report_v2.docx")]),
        ("نص my_var هنا", [("name", "my_var")]),
        ("B2B und CO2 und 3D", []),
        ("Ein Satz; und hier noch einer;", []),
        ("Die UNO (New York)", []),
    ],
)
def test_protected_spans(given: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(given) == expected


@pytest.mark.parametrize(
    "line",
    [
        "def f(x):",
        "for i in range(10):",
        "if (a == b) {",
        "total = 0",
        "SELECT name FROM users",
        "print('你好')",
        "return a + b;",
        "import numpy as np",
        "clf.fit(X, y)",
        "a, b = f(c)",
        "#include <stdio.h>",
        "let x = 5;",
        "}",
    ],
)
def test_lines_of_code_are_no_prose(line: str) -> None:
    assert text.prose(f"Hier ist es.\n{line}\nFertig.").split() == ["Hier", "ist", "es.", "Fertig."]


def test_comments_and_bodies_go_with_their_code() -> None:
    code = "import numpy as np\n\n# Load the data\nx = np.load('a')\ndef f():\n    give it back"
    assert not text.prose(code).strip()
    assert text.code_share(code) > 0.9
    assert text.code_share("Ein Satz.") == 0.0


def test_prose_keeps_offsets_and_line_ends() -> None:
    given = "Vor `code` nach.\n```\nx\n```\n中文 12"
    prose = text.prose(given)
    assert len(prose) == len(given)
    assert prose.count("\n") == given.count("\n")
    assert given.index("中文") == prose.index("中文")


@pytest.mark.parametrize("given", ["a" * 50_000, "{" * 20_000, "$" * 20_000, "<a" * 20_000])
def test_long_odd_input_takes_no_time(given: str) -> None:
    assert len(text.prose(given)) == len(given)
