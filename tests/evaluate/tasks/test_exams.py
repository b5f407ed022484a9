"""Four options of three splits, groups of subjects, and translations that are one question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import Item
from bactrian.evaluate.tasks.exams import parallel
from bactrian.evaluate.tasks.finding import items

MakeTask = Callable[..., Any]
COUNTS = {
    "ar": 562,
    "bg": 2937,
    "de": 212,
    "es": 38,
    "fr": 128,
    "hr": 2436,
    "it": 1113,
    "lt": 593,
    "mk": 2075,
    "pt": 924,
    "sq": 1505,
    "sr": 1442,
}
"""Questions of four options, 13,965; with hu, pl, tr and vi there are 20,559."""


def question(
    id: str = "q1",
    options: str = "wxyz",
    key: str = "C",
    language: str = "Bulgarian",
    subject: str = "Biology",
) -> dict[str, Any]:
    choices = [{"text": f" {text} ", "label": "ABCDE"[n]} for n, text in enumerate(options)]
    return {
        "id": id,
        "question": {"stem": " Кой? ", "choices": choices},
        "answerKey": key,
        "info": {"grade": 12, "subject": subject, "language": language},
    }


def put(path: Path, *told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told), "utf-8")


def asked(task: Any, language: str) -> list[Item]:
    return list(items(task, languages.get(language)))


@pytest.mark.parametrize(
    ("name", "context", "options", "texts"),
    [
        ("exams", "Въпрос: Кой?\nОтговор:", (" w", " x", " y", " z"), ("w", "x", "y", "z")),
        (
            "exams:hybrid",
            "Въпрос: Кой?\nA. w\nB. x\nC. y\nD. z\nОтговор:",
            (" w", " x", " y", " z"),
            ("w", "x", "y", "z"),
        ),
        (
            "exams:letter",
            "Въпрос: Кой?\nA. w\nB. x\nC. y\nD. z\nОтговор:",
            (" A", " B", " C", " D"),
            ("A", "B", "C", "D"),
        ),
    ],
)
def test_a_question_is_asked_in_these_very_words(
    make_task: MakeTask,
    tmp_path: Path,
    name: str,
    context: str,
    options: tuple[str, ...],
    texts: tuple[str, ...],
) -> None:
    put(tmp_path / "test.jsonl", question())
    (found,) = asked(make_task(name), "bg")
    assert (found.context, found.options, found.texts) == (context, options, texts)
    assert (found.id, found.gold, found.group) == ("q1", 2, "natural")


def test_french_puts_a_space_before_the_colon(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "test.jsonl", question(language="French"))
    (found,) = asked(make_task("exams"), "fr")
    assert found.context == "Question : Кой?\nRéponse :"


def test_the_splits_are_merged_and_other_numbers_of_options_left_out(
    make_task: MakeTask, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "exams" / "multilingual"
    put(folder / "test.jsonl", question("c"), question("no", "xyz"), question("d", language="X"))
    put(folder / "train.jsonl", question("a"), question("m", language="North Macedonian"))
    put(folder / "dev.jsonl", question("b"), question("no", "vwxyz"))
    task = make_task("exams")
    assert [item.id for item in asked(task, "bg")] == ["a", "b", "c"]
    assert [item.id for item in asked(task, "mk")] == ["m"]
    assert [language.code for language in task.languages()] == ["bg", "mk"]


def test_choices_as_the_hub_has_them_and_in_any_order(make_task: MakeTask, tmp_path: Path) -> None:
    told = question()
    told["question"]["choices"] = {"text": ["z", "x", "y", "w"], "label": ["D", "B", "C", "A"]}
    put(tmp_path / "test.jsonl", told)
    (found,) = asked(make_task("exams"), "bg")
    assert (found.texts, found.gold) == (("w", "x", "y", "z"), 2)


@pytest.mark.parametrize(
    ("subject", "group"),
    [
        ("Geology", "natural"),
        ("Economics Basics (Theoretical)", "social"),
        ("Informatics", "other"),
        ("Religion", "other"),
        ("Something New", "other"),
    ],
)
def test_subjects_stand_in_the_authors_groups(
    make_task: MakeTask, tmp_path: Path, subject: str, group: str
) -> None:
    put(tmp_path / "test.jsonl", question(subject=subject))
    (found,) = asked(make_task("exams"), "bg")
    assert found.group == group


def test_translations_are_one_cluster(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "test.jsonl", *(question(id) for id in "abcd"))
    put(tmp_path / "parallel_questions.jsonl", {"c": ["b"]}, {"b": ["c", "x"]}, {"x": ["d"]})
    assert [item.cluster for item in asked(make_task("exams"), "bg")] == ["a", "b", "b", "b"]


def test_what_is_parallel_to_what_is_parallel_is_one() -> None:
    found = parallel([{"d": ["c"]}, {"b": ["a"]}, {"c": ["b"]}, {"y": ["z"]}])
    assert found == {"a": "a", "b": "a", "c": "a", "d": "a", "y": "y", "z": "y"}


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (question(key="E"), "answerKey is E, the options are A, B, C, D"),
        (question(key="@"), "answerKey is @"),
        ({**question(), "id": ""}, "id is no text"),
        ({**question(), "question": 3}, "question is no table"),
        ({**question(), "question": {"stem": " ", "choices": question()["question"]["choices"]}},
         "question.stem is no text"),
        ({**question(), "question": {"choices": [{"text": "x"}]}}, "a choice has no label"),
    ],
)  # fmt: skip
def test_a_malformed_question_is_named(
    make_task: MakeTask, tmp_path: Path, told: dict[str, Any], problem: str
) -> None:
    put(tmp_path / "test.jsonl", question("a"), told)
    with pytest.raises(DataError, match=f"line 2: {problem}"):
        asked(make_task("exams"), "bg")


def test_an_empty_option_is_named(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "test.jsonl", question(options="wx z"))
    with pytest.raises(DataError, match="exams bg q1: an option is empty"):
        asked(make_task("exams"), "bg")


def test_a_language_that_is_not_there_is_told(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "test.jsonl", question())
    with pytest.raises(DataError, match="has no exams in German"):
        asked(make_task("exams"), "de")
    with pytest.raises(ConfigError, match="exams has no protocol lm-eval"):
        make_task("exams@lm-eval")


def test_the_real_set_has_the_papers_counts(make_task: MakeTask, shared: Any) -> None:
    task = make_task("exams", data=shared("exams"))
    found = {language.code: asked(task, language.code) for language in task.languages()}
    assert {code: len(several) for code, several in found.items()} == COUNTS
    every = [item for several in found.values() for item in several]
    assert len(every) == len({item.id for item in every}) == 13_965
    assert Counter(len(item.options) for item in every) == {4: 13_965}
    assert Counter(item.group for item in every) == {
        "natural": 5_451,
        "social": 7_148,
        "other": 1_366,
    }
    assert len({item.cluster for item in every}) < 13_000, "translations are told"
