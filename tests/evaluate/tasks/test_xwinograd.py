"""One continuation, two contexts; lm-eval's strings beside ours; the original and the Chinese."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item
from bactrian.evaluate.tasks.finding import items

MakeTask = Callable[..., Any]


def asked(task: Any, language: str) -> list[Item]:
    return list(items(task, languages.get(language)))


def row(sentence: str, *names: str, answer: str = "2") -> dict[str, str]:
    return {"sentence": sentence, "option1": names[0], "option2": names[1], "answer": answer}


EN = row("The cup fell because the _ was wet.", "cup", "table")
JA = row("狼は牛を食べた。_が旨かったからだ。", "狼", "牛")
RU = row("Волк съел корову, потому что вкусной была _", "волк", "корова")


@pytest.mark.parametrize(
    ("name", "told", "language", "pairs"),
    [
        (
            "xwinograd",
            EN,
            "en",
            (
                ("The cup fell because the cup", " was wet."),
                ("The cup fell because the table", " was wet."),
            ),
        ),
        (
            "xwinograd",
            JA,
            "ja",
            (
                ("狼は牛を食べた。狼", "が旨かったからだ。"),
                ("狼は牛を食べた。牛", "が旨かったからだ。"),
            ),
        ),
        (
            "xwinograd@lm-eval",
            JA,
            "ja",
            (
                ("狼は牛を食べた。狼", " が旨かったからだ。"),
                ("狼は牛を食べた。牛", " が旨かったからだ。"),
            ),
        ),
        (  # nothing follows: the names are what is scored
            "xwinograd",
            RU,
            "ru",
            (
                ("Волк съел корову, потому что вкусной была", " волк"),
                ("Волк съел корову, потому что вкусной была", " корова"),
            ),
        ),
        (  # as there: a space is scored
            "xwinograd@lm-eval",
            RU,
            "ru",
            (
                ("Волк съел корову, потому что вкусной была волк", " "),
                ("Волк съел корову, потому что вкусной была корова", " "),
            ),
        ),
    ],
)
def test_what_follows_the_gap_is_scored_after_each_name(
    make_task: MakeTask,
    tmp_path: Path,
    name: str,
    told: dict[str, str],
    language: str,
    pairs: tuple[tuple[str, str], ...],
) -> None:
    file = {"ja": "jp"}.get(language, language)
    (tmp_path / f"{file}.jsonl").write_text(json.dumps(told))
    (found,) = asked(make_task(name), language)
    assert found.pairs() == pairs
    assert found.gold == 1


def test_sentences_about_the_same_two_names_are_one_cluster(
    make_task: MakeTask, tmp_path: Path
) -> None:
    told = [EN, row("The cup stood, as the _ was dry.", "Table", "cup"), row("_ x", "a", "b")]
    (tmp_path / "en.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    clusters = [item.cluster for item in asked(make_task("xwinograd"), "en")]
    assert clusters == ["cup / table", "cup / table", "a / b"]


def test_a_table_with_a_header_is_read(make_task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "fr.tsv").write_text("sentence\toption1\toption2\tanswer\nA _ b\tx\ty\t1\n")
    (found,) = asked(make_task("xwinograd"), "fr")
    assert (found.contexts, found.options, found.gold) == (("A x", "A y"), (" b", " b"), 0)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (row("no gap", "a", "b"), "sentence has no gap _"),
        (row("a _", "a", "b", answer="3"), "answer is 3, neither 1 nor 2"),
        (row("a _", "a", " "), "option2 is no text"),
    ],
)
def test_a_malformed_row_is_named(
    make_task: MakeTask, tmp_path: Path, told: dict[str, str], problem: str
) -> None:
    (tmp_path / "en.jsonl").write_text(json.dumps(told))
    with pytest.raises(DataError, match=f"line 1: {problem}"):
        asked(make_task("xwinograd"), "en")


def test_a_language_that_is_not_there_is_told(make_task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no xwinograd in Japanese") as caught:
        asked(make_task("xwinograd"), "ja")
    assert "jp.jsonl" in caught.value.hint


COUNTS = {"en": 2325, "fr": 83, "ja": 959, "pt": 263, "ru": 315}


def test_the_original_has_the_published_counts(make_task: MakeTask, shared: Any) -> None:
    task = make_task("xwinograd", data=shared("xwinograd"))
    assert [language.code for language in task.languages()] == ["en", "fr", "ja", "pt", "ru", "zh"]
    for code, count in COUNTS.items():
        found = asked(task, code)
        assert len(found) == count
        assert len({item.cluster for item in found}) < count, "most stand in pairs"
    chinese = asked(task, "zh")
    assert len(chinese) == 16 + 401
    assert Counter(len(item.pairs()) for item in chinese) == {2: 417}


@pytest.mark.parametrize("language", sorted(COUNTS))
def test_every_string_is_lm_evals_own(
    make_task: MakeTask, shared: Any, harness: Any, language: str
) -> None:
    theirs = harness("xwinograd")
    task = make_task("xwinograd@lm-eval", data=shared("xwinograd"))
    spoken = languages.get(language)
    records = list(task.local(shared("xwinograd"), spoken))
    for record, found in zip(records, asked(task, language), strict=True):
        document = {**record.values, "answer": str(record.values["answer"])}
        contexts = theirs["doc_to_choice"](document)
        target = theirs["doc_to_target"](document)
        assert found.pairs() == tuple((context, f" {target}") for context in contexts)
        assert found.gold == theirs["doc_to_text"](document)
