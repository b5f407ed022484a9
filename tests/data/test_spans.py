"""What is found that no translator should touch, and what is left to the translator."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bactrian.data import spans
from bactrian.data.spans import find

SAMPLES = Path(__file__).parents[1] / "samples"

CASES: list[tuple[str, list[tuple[str, str]]]] = [
    # code
    ("Fix this:\n```python\nx = 1\n```\nThanks", [("code", "```python\nx = 1\n```")]),
    ("What does `len(x)` do?", [("code", "`len(x)`")]),
    ("def f(a):\n    return a\n\nExplain it.", [("code", "def f(a):\n    return a")]),
    ("Radius = 10 cm", [("number", "10 cm")]),
    ("principle = 5000, rate = 6%, time = 5 years", [("number", "6%")]),
    # formulas
    ("Solve 3x + 5 = 20 for x.", [("formula", "3x + 5 = 20")]),
    ("Solve $\\frac{2x-1}{3} = y$ please", [("formula", "$\\frac{2x-1}{3} = y$")]),
    ("Let \\(x\\) be \\[y^2\\]", [("formula", "\\(x\\)"), ("formula", "\\[y^2\\]")]),
    ("\\begin{align}a\\\\b\\end{align} is it", [("formula", "\\begin{align}a\\\\b\\end{align}")]),
    ("apples for $5 and pears for $6", [("number", "$5"), ("number", "$6")]),
    ("He has an A+ in Math and a B+ in Art, A/B tests, C++ code", []),
    ("(36 × 24 mm", [("formula", "36 × 24 mm")]),
    # addresses
    ("See https://a.org/b_(c). Then go", [("url", "https://a.org/b_(c)")]),
    ("![x](https://i.imgur.com/a.jpg)", [("url", "https://i.imgur.com/a.jpg")]),
    ("请访问https://a.org/b查看", [("url", "https://a.org/b")]),
    ("Go to www.example.com/links, please", [("url", "www.example.com/links")]),
    ("Write to jo.doe@mail.co.uk.", [("email", "jo.doe@mail.co.uk")]),
    # markup and placeholders
    ("<p class='a'>Hello</p>", [("markup", "<p class='a'>"), ("markup", "</p>")]),
    ("The boy <noinput> the ball", [("placeholder", "<noinput>")]),
    ("<An image of a living room with warm colours>", []),
    ("Dear {name}, %s and ${var} and {{x}}.", [
        ("placeholder", "{name}"), ("placeholder", "%s"),
        ("placeholder", "${var}"), ("placeholder", "{{x}}"),
    ]),
    ("Life is ____ to me", [("placeholder", "____")]),
    ("100% sure, 5% off", [("number", "100%"), ("number", "5%")]),
    # names
    ("Open my_data.csv in ~/Docs/Music", [("name", "my_data.csv"), ("name", "~/Docs/Music")]),
    ("C:\\Users\\me and /usr/bin/python", [("name", "C:\\Users\\me"), ("name", "/usr/bin/python")]),
    ("the hashtag #StaySafe by @who", [("name", "#StaySafe"), ("name", "@who")]),
    ("and/or, he/she, 24/7", [("number", "24/7")]),
    # numbers: those with a form are kept, counts are the translator's
    ("Give 5 tips for 2020, in 3-5 sentences.", []),
    ("1,000,000 people, 3.14 and 10/12/2021", [
        ("number", "1,000,000"), ("number", "3.14"), ("number", "10/12/2021"),
    ]),
    ("5 km at 32°F by 5:30 pm", [("number", "5 km"), ("number", "32°F"), ("number", "5:30 pm")]),
    ("Sort [5, -2, [8, 1]] now", [("number", "[5, -2, [8, 1]]")]),
    ("8,848 m (29,029 ft)", [("number", "8,848 m"), ("number", "29,029 ft")]),
    ("Call (123) 456-7890", [("number", "(123) 456-7890")]),
]  # fmt: skip

MENTIONED = [
    ("What is the meaning of the word 'ubiquitous'?", ["'ubiquitous'"]),
    ("Rewrite the sentence 'He go to school'.", ["'He go to school'"]),
    ("Correct this sentence: “It's raining very hardly”", ["“It's raining very hardly”"]),
    ("Name two words that rhyme with 'moon' or 'tune'.", ["'moon'", "'tune'"]),
    ('Translate the following sentence to French: "I am happy".', ['"I am happy"']),
    ('What does "blue-sky thinking" mean?', ['"blue-sky thinking"']),
    ("Explain the idiom ‘don’t look back’.", ["‘don’t look back’"]),
]
TRANSLATED = [
    'He said "I will come" and left.',
    'Summarise the film "Pulp Fiction".',
    'Write a story with the word "storm".',
    'Generate a sentence using the words "happy" and "dream".',
    'Find a synonym for the word "happy".',
    'Paraphrase this sentence: "Electrons orbit the nucleus."',
    'Rewrite this sentence to make it more formal: "Gonna go."',
    'Explain the meaning of the term "confirmation bias".',
    "Classify it as 'positive' or 'negative'.",
    "Don't use the dogs' house or the cats' house.",
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_spans_by_their_form(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(span.kind, span.text) for span in find(text)] == expected


@pytest.mark.parametrize(("text", "expected"), MENTIONED)
def test_a_quotation_that_the_task_is_about_is_kept(text: str, expected: list[str]) -> None:
    assert [span.text for span in find(text) if span.kind == "quote"] == expected


@pytest.mark.parametrize("text", TRANSLATED)
def test_speech_titles_and_what_is_asked_for_its_meaning_are_translated(text: str) -> None:
    assert find(text) == ()


def test_all_quotations_or_none_on_demand() -> None:
    text = 'He said "Go" about the word "stop".'
    assert [span.text for span in find(text, quoted="all")] == ['"Go"', '"stop"']
    assert [span.text for span in find(text)] == ['"stop"']
    assert find(text, quoted="none") == ()


def test_a_quotation_swallows_what_stands_in_it() -> None:
    found = find('Correct the sentence: "It cost 3.50 at a.com"')
    assert [span.text for span in found] == ['"It cost 3.50 at a.com"']


def test_what_the_caller_wants_kept_is_kept() -> None:
    text = "Edit this: he go to a.com now, see b.org"
    found = find(text, also=[(11, 29)])
    assert [span.text for span in found] == ["he go to a.com now", "b.org"]
    assert [span.kind for span in found] == ["quote", "url"]
    assert find("plain words", also=[(3, 3)]) == ()
    assert [span.text for span in find("plain words", also=[(3, 9), (0, 7)])] == ["plain wor"]
    assert [span.text for span in find("words", also=[(-1, 99)])] == ["words"]


def test_offsets_are_those_of_the_text_and_spans_are_apart() -> None:
    for text, _ in CASES:
        end = 0
        for span in find(text):
            assert end <= span.start < span.end
            assert text[span.start : span.end] == span.text
            end = span.end


def test_plain_prose_of_52_languages_has_no_span_but_numbers(
    sentences: Mapping[str, Sequence[str]],
) -> None:
    assert len(sentences) == 52
    found = [span for texts in sentences.values() for text in texts for span in find(text)]
    assert {span.kind for span in found} == {"number"}
    assert all(span.text.startswith("11") for span in found), "the one time of day in them"


def test_the_labelled_rows_keep_what_they_kept() -> None:
    with (SAMPLES / "destroyed_200.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = [span for row in rows for span in find(row["instruction"])]
    assert sum(span.kind == "quote" for span in found) == 12
    others = [span.text for span in found if span.kind != "quote"]
    assert others == ["________", "<insert cuisine>", "3/4 + 7/8"]


UNITS = ["<a ", "$a", "(", "[X0", "_ ", "1,", "a+", "[1,", '"a ', "a@", "/a", "\\begin{a}", "\\[",
         "{a", "C:\\", "<!--", "```", "1.", "the word ", "a=1, "]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (12_000 // len(unit))
    start = time.perf_counter()
    protected = spans.protect(text)
    assert spans.restore(protected.masked, protected.spans).text == text
    assert time.perf_counter() - start < 2.0, "seconds for 12,000 characters"
