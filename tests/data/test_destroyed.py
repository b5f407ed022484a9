"""Tasks that translation destroys are recognised, measured on rows labelled by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bactrian.data.destroyed import recognise
from bactrian.data.spans import find, protect

SAMPLES = Path(__file__).parents[1] / "samples" / "destroyed_200.tsv"


def rows() -> list[dict[str, str]]:
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def plain(field: str) -> str:
    return field.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")


def test_precision_and_recall_on_rows_labelled_by_hand() -> None:
    labelled = rows()
    assert len(labelled) == 200
    answers = [recognise(plain(row["instruction"]), plain(row["input"])) for row in labelled]
    right = [
        (row, answer)
        for row, answer in zip(labelled, answers, strict=True)
        if answer and row["kind"]
    ]
    said = sum(answer is not None for answer in answers)
    there = sum(bool(row["kind"]) for row in labelled)
    assert there == 42
    assert len(right) / said >= 0.9, "precision"
    assert len(right) / there >= 0.95, "recall"
    kinds = sum(answer.kind == row["kind"] for row, answer in right)
    kept = sum(answer.keep_input == (row["keep_input"] == "yes") for row, answer in right)
    assert kinds / len(right) >= 0.95
    assert kept / len(right) >= 0.95


@pytest.mark.parametrize(
    ("instruction", "input", "kind", "keep"),
    [
        ("Correct the grammar.", "He go to school", "grammar", True),
        ("Rewrite in the passive voice: He ate it.", "", "grammar", True),
        ("Convert this sentence to the past tense", "I go", "grammar", True),
        ("Fix the typos", "teh cat", "spelling", True),
        ("Find a word that rhymes with 'cat'", "", "rhyme", True),
        ("Write a limerick about a cat", "", "rhyme", False),
        ("Write a haiku", "Topic: spring", "rhyme", False),
        ("How many vowels are in the word 'banana'?", "", "letters", True),
        ("Sort these words in alphabetical order", "b, a", "letters", True),
        ("Name three animals that start with the letter B", "", "letters", False),
        ("Translate the text into French", "Hello", "translation", True),
        ("Rewrite this in German", "Hello", "translation", True),
        ("How do you say 'dog' in Spanish?", "", "translation", True),
        ("Explain the idiom 'break a leg'", "", "idiom", True),
        ('What does the phrase "over the moon" mean?', "", "idiom", True),
        ("Create an acronym", "Friends of Trees", "acronym", True),
        ("Make a pun about cheese", "", "wordplay", False),
        ("How is the word 'colonel' pronounced?", "", "pronunciation", True),
        ("Fix the typos", "<noinput>", "spelling", False),
    ],
)
def test_kinds(instruction: str, input: str, kind: str, keep: bool) -> None:
    found = recognise(instruction, input)
    assert found is not None
    assert (found.kind, found.keep_input) == (kind, keep)
    assert instruction[found.start : found.end] == found.evidence != ""


@pytest.mark.parametrize(
    "instruction",
    [
        "Give three tips for staying healthy.",
        "Write a cover letter for a job",
        "Summarise the text in 50 words or less",
        "Paraphrase this sentence",
        "Make this sentence more formal",
        "Find a synonym for 'happy'",
        "Use the word 'storm' in a sentence",
        "Write a short poem about the sea",
        "Compare capitalism and socialism",
        "Describe the main characters of the movie",
        "Write a Python function that reverses a string",
        "Find the errors in this code",
        "How does Google Translate work?",
        "Explain how mRNA is translated into protein",
        "Make scrambled eggs",
        "List the advantages of active listening",
        "Write a story that starts with 'He spelt it wrong and the grammar was bad'",
        "",
    ],
)
def test_tasks_on_meaning_are_left_alone(instruction: str) -> None:
    assert recognise(instruction, "some input") is None


def test_what_is_kept_in_english_can_be_protected() -> None:
    instruction = "Rewrite in the passive voice: He ate it."
    found = recognise(instruction, "")
    assert found is not None
    assert [instruction[start:end] for start, end in found.kept] == ["He ate it."]
    assert protect(instruction, also=found.kept).masked == "Rewrite in the passive voice: [X0X]"
    instruction = "Find words that rhyme with 'cat' and 'moon'."
    found = recognise(instruction, "")
    assert found is not None
    kept = find(instruction, quoted="none", also=found.kept)
    assert [span.text for span in kept] == ["'cat'", "'moon'"]


def test_nothing_is_kept_where_nothing_is_given() -> None:
    found = recognise("Write a rhyming poem about 'autumn'", "")
    assert found is not None
    assert not found.keep_input
    assert found.kept == ()


def test_long_instructions_take_no_time() -> None:
    for unit in ("identify ", "sentence ", "the word ", "letters ", "a b "):
        assert recognise(unit * 2000, "") is None or unit == "letters "
