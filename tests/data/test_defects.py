"""Each class of defect is found with its evidence; good rows of any language are left alone."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bactrian.data import defects
from bactrian.schema import Example, Flag

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "tests" / "samples"
SHARED = REPOSITORY.parent / "shared" / "data"


def row(instruction: str, input: str = "", output: str = "Yes.", language: str = "en") -> Example:
    return Example("alpaca-17", language, instruction, input, output)


def names(example: Example) -> list[str]:
    return [flag.check for flag in defects.find(example)]


# The examples that the README of AlpacaDataCleaned gives for its ten classes.
PUBLISHED = [
    (
        "unseen",
        row("Summarize the given article in 200 Words.", "https://www.bbc.com/news/world-51461830"),
    ),
    (
        "unseen",
        row(
            "Classify the following shape according to simple geometry.",
            "<Picture Attached>",
            "Triangle",
        ),
    ),
    (
        "unseen",
        row(
            "Given a recent news article, write a headline for it.",
            "https://www.news.example.com/article-1",
        ),
    ),
    (
        "merged",
        row(
            "Should I invest in stocks?",
            "",
            "It depends.\n##\n18. Instruction: Identify the noun:\n18. Input:\nAn apple.",
        ),
    ),
    ("empty-output", row("Calculate the area.", "rectangle of size 4 cm x 5 cm", "")),
    (
        "image",
        row(
            'Create a graphic or logo that visually represents the word "courage".',
            "",
            "<No Output>",
        ),
    ),
    (
        "no-answer",
        row(
            'Create a graphic or logo that visually represents the word "courage".',
            "",
            "<No Output>",
        ),
    ),
    ("input-marker", row("Name a river.", "<no input>")),
    ("input-marker", row("Name a river.", "No input")),
    ("input-marker", row("Name a river.", "noinput")),
    ("input-marker", row("Name a river.", "<noinput>")),
    (
        "wrong-number",
        row("Calculate the median of the following data set.", "1, 2, 4, 5, 8, 9", "5"),
    ),
    ("wrong-number", row("Convert 25m to km.", "", "25km")),
    (
        "no-answer",
        row("Freeze the following sample of yogurt for 10 minutes.", "Yogurt sample", "<noinput>"),
    ),
    (
        "unclear",
        row(
            "Increase the font size to 12 points.",
            "",
            "The font size has been increased to 12 points.",
        ),
    ),
]

OTHERS = [
    ("unseen", row("Describe the photo.", "[Insert photo here]"), "input", "[Insert photo here]"),
    ("unseen", row("Who wrote it?", "![cover](https://a.b/c.png)"), "input", "![cover]("),
    ("unseen", row("Summarize https://a.org/b"), "instruction", "https://a.org/b"),
    ("merged", row("Sort it.", "", "a, b\n6. Input:\nc"), "output", "6. Input:"),
    ("empty-output", row("Name one.", "", " \u200b\n"), "output", " \u200b\n"),
    ("no-code", row("Fix this code snippet."), "instruction", "this code"),
    (
        "no-code",
        row("Write a Python function that adds.", "", "It adds two numbers"),
        "output",
        "It adds two numbers",
    ),
    ("image", row("Draw a camel in the desert."), "instruction", "Draw a camel in the desert"),
    (
        "image",
        row("Convert the data into a pie chart.", "a 1"),
        "instruction",
        "Convert the data into a pie chart",
    ),
    ("no-answer", row("Sing it.", "", "N/A"), "output", "N/A"),
    (
        "no-answer",
        row("Paint it.", "", "[Insert painting image]"),
        "output",
        "[Insert painting image]",
    ),
    (
        "no-answer",
        row("Play it.", "", "This task cannot be performed by text."),
        "output",
        "This task cannot be performed by text.",
    ),
    ("input-marker", row("Go on.", "The boy <noinput> the ball"), "input", "<noinput>"),
    ("input-marker", row("Go on.", " N/A "), "input", "N/A"),
    ("wrong-number", row("What is 2 + 3 x 4?", "", "It is 20."), "output", "20"),
    ("wrong-number", row("Solve for x.", "3(2x + 1) = 15", "x = 4"), "output", "4"),
    ("wrong-number", row("Share it.", "12 to 3", "Each gets 12 / 3 = 5."), "output", "12 / 3 = 5"),
    ("wrong-number", row("What is 15% of 500?", "", "80"), "output", "80"),
    (
        "unclear",
        row("Classify the following song as sad or happy."),
        "instruction",
        "following song",
    ),
    (
        "unclear",
        row("Book a table.", "", "I have booked a table for two."),
        "output",
        "I have booked a table for two.",
    ),
    ("control-characters", row("Say it.", "", "one\x03two"), "output", "\x03"),
    ("control-characters", row("Say it.", "", "one\u200btwo"), "output", "\u200b"),
    ("control-characters", row('Replace the \\"X\\".', "X"), "instruction", '\\"'),
    ("control-characters", row("Say it.", "", "a&nbsp;b"), "output", "&nbsp;"),
]

GOOD = [
    row("Cite this page in APA style.", "https://example.com/a"),
    row("Write the HTML for a button that links to the page.", "https://example.com", "<a>x</a>"),
    row("Summarize the text.", "Camels " * 60 + "https://example.com/camels"),
    row("Sort the list.", "[1, 2, 3]", "[3, 2, 1]"),
    row("Write a recipe for soup.", "", "Ingredients:\n1. Water\n\nInstructions:\n1. Boil it."),
    row("Write a program.", "", "print(1)\n# Output: 1"),
    row("Write a Python function that adds.", "", "def add(a, b):\n    return a + b"),
    row("Explain how to design a logo."),
    row("Draw a conclusion from the story.", "The camel slept."),
    row("Write a character sketch of a camel driver."),
    row("Illustrate the difference between a hawk and a falcon."),
    row("What is the symbol of sodium?", "", "Na"),
    row("What is the element?", "Na", "Sodium"),
    row("Which are prime?", "4, 6", "None"),
    row("Write a note that you cannot come.", "", "Sorry, I can't come tonight."),
    row("What can GPT not do?", "", "GPT models cannot see."),
    row("What is 10 divided by 3?", "", "3.33"),
    row("Calculate 2 / 3.", "", "2 / 3 = 0.67"),
    row("Add 101 and 1 in binary.", "", "101 + 1 = 110"),
    row("Simplify 2x + 3 + 4.", "", "2x + 3 + 4 = 2x + 7"),
    row("Find x.", "x^2 - 4 = 0", "2 or -2"),
    row("Is the following statement true or false? Camels swim."),
    row("Describe a plan for the following day: rest."),
    row("Write a program that sorts a given list.", "", "sorted(x)"),
    row("Rewrite in the present perfect.", "I finish it.", "I have finished it."),
    row("Print a line.", "", 'printf("%d\\n", x);'),
    row("سلام", "", "نمی‌دانم", "fa"),
    row("Say it with a family.", "", "👨\u200d👩\u200d👧"),
]


@pytest.mark.parametrize(("name", "example"), PUBLISHED)
def test_the_published_examples_are_found(name: str, example: Example) -> None:
    assert f"defect-{name}" in names(example)


@pytest.mark.parametrize(("name", "example", "field", "evidence"), OTHERS)
def test_each_class_shows_its_evidence(
    name: str, example: Example, field: str, evidence: str
) -> None:
    flag = next(flag for flag in defects.find(example) if flag.check == f"defect-{name}")
    assert (flag.severity, flag.field, flag.evidence) == ("warn", field, evidence)
    assert getattr(example, field)[flag.start :].startswith(flag.evidence)
    assert flag.reason and not flag.reason.endswith(".")


@pytest.mark.parametrize("example", GOOD)
def test_good_rows_are_left_alone(example: Example) -> None:
    assert defects.find(example) == ()


def test_every_class_of_the_published_list_has_a_rule_and_a_test() -> None:
    tested = {f"defect-{name}" for name, *_ in (*PUBLISHED, *OTHERS)}
    assert tested == set(defects.RULES)
    assert len(defects.RULES) == 10


def test_a_row_may_have_several_and_evidence_is_short() -> None:
    found = defects.find(row("Design a logo.", "noinput", "<No output " + "x" * 900 + ">"))
    assert [flag.check for flag in found] == [
        "defect-image", "defect-no-answer", "defect-input-marker",
    ]  # fmt: skip
    assert all(len(flag.evidence) <= 200 for flag in found)


def test_no_sentence_in_52_languages_has_a_defect() -> None:
    with (SAMPLES / "flores_52.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len({one["language"] for one in rows}) == 52
    for one in rows:
        assert names(row(one["text"], one["text"], one["text"], one["language"])) == []


# -- real rows -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alpaca() -> list[dict[str, Any]]:
    path = SHARED / "alpaca" / "alpaca_data.json.gz"
    if not path.exists():
        pytest.skip("real data is not beside the repository: alpaca")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    return rows


@pytest.fixture(scope="module")
def flagged(alpaca: list[dict[str, Any]]) -> list[tuple[Flag, ...]]:
    examples = [row(one["instruction"], one["input"], one["output"]) for one in alpaca]
    began = time.perf_counter()
    found = [defects.find(example) for example in examples]
    rate = len(examples) / (time.perf_counter() - began)
    assert rate > 7_000, "more than 25,000 rows a second on an idle core"
    return found


def test_the_counts_on_alpaca_are_those_that_were_read(flagged: list[tuple[Flag, ...]]) -> None:
    counts = Counter(flag.check.removeprefix("defect-") for flags in flagged for flag in flags)
    assert counts == {
        "input-marker": 687, "unseen": 412, "image": 281, "no-answer": 199, "wrong-number": 78,
        "unclear": 50, "merged": 38, "no-code": 37, "empty-output": 28, "control-characters": 17,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "field", "pattern", "missed"),
    [
        ("merged", "output", r"\d{1,2}\.\sInstruction:", 0),
        ("input-marker", "input", r"<no\s*input>|\(no input\)", 0),
        ("unseen", "input", r"!\[.*\]\(http", 0),
        ("unseen", "input", r"https?://", 15),  # to be linked, called, cited or parsed, not read
        ("empty-output", "output", r"^\s*$", 0),
    ],
)
def test_what_the_published_patterns_find_is_found(
    name: str,
    field: str,
    pattern: str,
    missed: int,
    alpaca: list[dict[str, Any]],
    flagged: list[tuple[Flag, ...]],
) -> None:
    published = re.compile(pattern, re.IGNORECASE)
    pairs = zip(alpaca, flagged, strict=True)
    hits = [flags for one, flags in pairs if published.search(one[field])]
    assert len(hits) >= 28
    assert sum(f"defect-{name}" not in {flag.check for flag in flags} for flags in hits) == missed


def test_rows_written_by_people_have_few_defects() -> None:
    path = SHARED / "dolly" / "dolly_6400.jsonl.gz"
    if not path.exists():
        pytest.skip("real data is not beside the repository: dolly")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    counts = Counter(
        name for one in rows for name in names(row(one["instruction"], "", one["response"]))
    )
    # this copy lacks the contexts: where one is pointed to, it is truly not given
    assert counts == {"defect-unclear": 84}
