"""The word list finds what asks for code, on 200 rows labelled by hand, and little else."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from pathlib import Path

import pytest

from bactrian.data import programming
from bactrian.data.programming import Match, Words, find, load
from bactrian.errors import DataError

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "tests" / "samples"
SHARED = REPOSITORY.parent / "shared" / "data"

CODE = [
    ("Write a function to check if an integer is prime.", "", "function"),
    ("Given an array of numbers, write a short recursive function.", "", "function"),
    ("Create a rock-paper-scissors game in python.", "", "python"),
    ("Construct a SQL query to find the oldest customer.", "", "SQL"),
    ("Design an algorithm that plays tic-tac-toe.", "", "algorithm"),
    ("Explain what the following code does.", "x += 1", "following code"),
    ("Find the most frequent character.", "my_string = 'abc'", "my_string = '"),
    ("What is printed?", "for i in range(3):\n    print(i)", "for i in range(3):\n    print"),
    ("Extract the heading.", "<h1>Camels</h1>", "<h1>"),
    ("Who is older?", '{"name": "Ann", "age": 30}', '{"name":'),
    ("Turn it into markup.", "see ```x``` there", "```"),
    ("Build a calculator using HTML and JavaScript.", "", "using HTML"),
    ("Write a regex for an email address.", "", "regex"),
]

NOT_CODE = [
    "Write a code of conduct for our club.",
    "Suggest a dress code for the wedding.",
    "Translate SOS into Morse code.",
    "Write a script for a play about two friends.",
    "Create a script to greet a customer.",
    "Design an exercise program for beginners.",
    "Describe the function of the heart.",
    "Write an essay about Python and its users.",
    "Write a story about a pet python.",
    "Generate a travel plan for the island of Java.",
    "Compose a song in C major.",
    "Convert 45 F to degrees in C.",
    "Generate a 4-digit code.",
    "Name three programming languages.",
    "What is a SQL query?",
    "Explain the difference between a class and an object in Java.",
    "Describe how a bubble sort algorithm works.",
    "Create an analogy for an algorithm.",
    "List three uses of algorithms in medicine.",
    "Suggest five ways to write better code.",
    "Tune the first string of a guitar.",
    "Create a lesson for my class at school.",
    "Find the 2nd smallest number in this set: {0, 2, 5, 22}.",
]


@pytest.mark.parametrize(("instruction", "given", "word"), CODE)
def test_code_is_found_with_its_word(instruction: str, given: str, word: str) -> None:
    match = find(instruction, given)
    assert match is not None
    assert match.word == word
    text = instruction if match.field == "instruction" else given
    assert text[match.start : match.end] == match.word


@pytest.mark.parametrize("instruction", NOT_CODE)
def test_other_senses_and_questions_are_left(instruction: str) -> None:
    assert find(instruction) is None


def test_a_text_that_is_given_does_not_hide_the_code_that_is_made() -> None:
    assert find("Convert the following sentence into a for loop in Python.") is not None
    assert find("Write a sentence with a for loop in Python.") is None


SPELT = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\\": "\\"}


def unescaped(value: str) -> str:
    """Return a field of the sample as it stands in Alpaca."""
    return re.sub(r"\\[ntr\\]", lambda found: SPELT[found[0]], value)


def sample() -> list[tuple[bool, float, str, str]]:
    """Rows of the labelled sample: label, rows of Alpaca it stands for, instruction, input."""
    path = SAMPLES / "programming_200.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        (
            row["label"] == "1",
            float(row["weight"]),
            unescaped(row["instruction"]),
            unescaped(row["input"]),
        )
        for row in rows
    ]


def test_precision_and_recall_on_the_rows_that_were_kept_apart() -> None:
    rows = sample()
    assert len(rows) == 200
    assert sum(weight for _, weight, _, _ in rows) == pytest.approx(52_002)
    found = [(label, weight, find(told, given)) for label, weight, told, given in rows]
    right = sum(weight for label, weight, match in found if label and match)
    precision = right / sum(weight for _, weight, match in found if match)
    recall = right / sum(weight for label, weight, _ in found if label)
    assert precision >= 0.95  # measured: 35 of 35
    assert recall >= 0.9  # measured: 35 of 37


def test_no_sentence_in_52_languages_is_programming() -> None:
    with (SAMPLES / "flores_52.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len({row["language"] for row in rows}) == 52
    assert [row["text"] for row in rows if find(row["text"], row["text"])] == []


def test_a_file_of_ones_own_adds_and_removes(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text(
        'languages = ["Befunge"]\nexcept = ["Befunge festival"]\nremove = ["regex"]\n'
        "shapes = ['\\bv<\\^>']\n",
        encoding="utf-8",
    )
    own = load(path)
    assert find("Write hello in Befunge.") is None
    assert find("Write hello in Befunge.", words=own) == Match("Befunge", 15, 22, "instruction")
    assert find("Write about the Befunge festival.", words=own) is None
    assert find("Run it.", "v<^>", own) == Match("v<^>", 0, 4, "input")
    assert find("Write a regex.", words=own) is None
    assert find("Write a function.", words=own) is not None


def test_a_shape_of_ones_own_needs_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text("shapes = ['^PERFORM \\w+']\n", encoding="utf-8")
    own = load(path)
    assert find("What does it do?", "PERFORM paint", own) == Match("PERFORM paint", 0, 13, "input")
    assert find("What does it do?", "PERFORM paint") is None


def test_without_the_built_in_lists_only_ones_own_count(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text('builtin = false\nalways = ["naredba"]\n', encoding="utf-8")
    own = load(path)
    assert own == Words(always=("naredba",))
    assert find("Write a function.", "def f(x): return x", own) is None
    assert find("Napiši: naredba.", words=own) == Match("naredba", 8, 15, "instruction")
    assert load() is programming.load(None)


@pytest.mark.parametrize(
    ("written", "problem", "hint"),
    [
        ('languges = ["x"]', "unknown list languges", "did you mean languages?"),
        ('code = "loop"', "code has to be a list of words", 'code = ["cobol"]'),
        ("code = [1]", "code has to be a list of words", "such as"),
        ('code = [""]', "code has to be a list of words", "such as"),
        ("remove = 3", "remove has to be a list of words", "such as"),
        ("shapes = ['(']", "'(' is not a pattern", "regular expression"),
        ("code = [", "words.toml", "docs/sources.md"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    written: str, problem: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "words.toml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load(path)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml could not be read"):
        load(tmp_path / "none.toml")


def test_the_built_in_list_has_each_word_once_and_sound_patterns() -> None:
    words = load()
    for name in ("makes", "code", "languages", "always", "asks", "between", "talks", "exceptions"):
        listed = getattr(words, name)
        assert len(listed) == len(set(listed)), name
        assert all(word == " ".join(word.split()) for word in listed), name
    for pattern in (*words.shapes, *words.marks):
        assert not re.compile(pattern).search("")


def test_real_rows_are_read_fast_enough() -> None:
    path = SHARED / "alpaca" / "alpaca_data.json.gz"
    if not path.exists():
        pytest.skip("real data is not beside the repository: alpaca")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [(row["instruction"], row["input"]) for row in json.load(file)]
    began = time.perf_counter()
    found = sum(find(*row) is not None for row in rows)
    rate = len(rows) / (time.perf_counter() - began)
    assert 1_900 <= found <= 2_300
    assert rate > 20_000, "more than 90,000 rows a second on an idle core"
