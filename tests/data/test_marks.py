"""What is said of English rows before anything is done with them: each flag, and its evidence."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bactrian.data import defects, destroyed, programming
from bactrian.data.marks import DESTROYED, PROGRAMMING, marks
from bactrian.schema import Example

SAMPLES = Path(__file__).parents[1] / "samples"
ALPACA = Path(__file__).parents[2] / "demo" / "alpaca.json"


def task(instruction: str, input: str = "", output: str = "An answer.") -> Example:
    return Example("alpaca-1", "en", instruction, input, output)


@pytest.mark.parametrize(
    ("example", "names"),
    [
        (task("Name the three primary colours."), []),
        (task("Write a Python function that sorts a list."), ["defect-no-code", PROGRAMMING]),
        (task("Explain what this does.", "for i in range(3):\n    print(i)"), [PROGRAMMING]),
        (task("Find a word that rhymes with 'storm'."), [f"{DESTROYED}rhyme"]),
        (task("Correct the grammar.", "He go to school."), [f"{DESTROYED}grammar"]),
        (task("Name the three primary colours.", output=""), ["defect-empty-output"]),
        (
            task("Write a Python function that finds words that rhyme with 'storm'.", output=""),
            ["defect-empty-output", PROGRAMMING, f"{DESTROYED}rhyme"],
        ),
    ],
)
def test_what_is_found_stands_in_one_order(example: Example, names: list[str]) -> None:
    assert [flag.check for flag in marks(example)] == names


def real() -> Iterator[Example]:
    for row in json.loads(ALPACA.read_text(encoding="utf-8")):
        yield Example(row["id"], "en", row["instruction"], row["input"], row["output"])
    for name in ("destroyed_200.tsv", "programming_200.tsv"):
        with (SAMPLES / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield Example(row["id"], "en", row["instruction"], row["input"], "An answer.")


def test_real_rows_are_only_warned_of_and_the_evidence_stands_where_it_says() -> None:
    counted = {"defect": 0, PROGRAMMING: 0, "destroyed": 0}
    for example in real():
        found = marks(example)
        names = [flag.check for flag in found]
        assert len(names) == len(set(names))
        for flag in found:
            counted[flag.check.partition("-")[0]] += 1
            assert flag.severity == "warn", "the recipe decides, not the mark"
            assert flag.reason
            assert len(flag.evidence) <= 200
            if flag.check == PROGRAMMING or flag.check.startswith(DESTROYED):
                text = getattr(example, flag.field)
                assert text[flag.start : flag.start + len(flag.evidence)] == flag.evidence
        expected = len(defects.find(example))
        expected += programming.find(example.instruction, example.input) is not None
        expected += destroyed.recognise(example.instruction, example.input) is not None
        assert len(found) == expected
    assert all(counted.values()), counted


def test_the_recipe_s_own_words_are_used(tmp_path: Path) -> None:
    assert marks(task("Tune the carburettor.")) == ()
    own = tmp_path / "words.toml"
    own.write_text('always = ["carburettor"]\n', encoding="utf-8")
    (flag,) = marks(task("Tune the carburettor."), programming.load(own))
    assert (flag.check, flag.evidence, flag.start) == (PROGRAMMING, "carburettor", 9)
