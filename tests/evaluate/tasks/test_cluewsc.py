"""Yes and no about one pronoun become one question with two options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.tasks.cluewsc import schemas

TEXT = "舌头跳出来，它掉了，老鼠也掉了，它跑了。"
FIRST, SECOND = 6, 16


def row(name: str, label: str | bool, at: int = FIRST, text: str = TEXT) -> dict[str, Any]:
    target = {"span1_text": name, "span1_index": 0, "span2_text": "它", "span2_index": at}
    return {"target": target, "label": label, "text": text}


def made(tmp_path: Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    path = tmp_path / "rows.json"
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
    return [record.values for record in schemas([path], "_")]


def test_rows_about_one_pronoun_are_one_question(tmp_path: Path) -> None:
    told = [row("老鼠", "false"), row("老鼠", True, SECOND), row("舌头", "true")]
    assert made(tmp_path, *told) == [
        {
            "sentence": "舌头跳出来，_掉了，老鼠也掉了，它跑了。",
            "option1": "老鼠",
            "option2": "舌头",
            "answer": 2,
        }
    ]


def test_of_several_names_the_first_of_each_answer_counts(tmp_path: Path) -> None:
    told = [row("人", "true"), row("老鼠", "false"), row("舌头", "true"), row("嘴", "false")]
    (found,) = made(tmp_path, *told)
    assert (found["option1"], found["option2"], found["answer"]) == ("人", "老鼠", 1)


@pytest.mark.parametrize(
    "rows",
    [
        [row("老鼠", "false"), row("嘴", "false")],
        [row("老鼠", "true")],
        [row("老鼠", "true"), row("老鼠", "false")],
        [row("老鼠", "true"), row("嘴", "false", text="_" + TEXT[1:])],
    ],
)
def test_what_has_not_both_answers_is_no_question(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    assert made(tmp_path, *rows) == []


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (row("老鼠", "true", 3), "它 does not stand at 3"),
        (row("老鼠", "perhaps"), "this is no row of CLUEWSC"),
        ({"target": 3, "label": "true", "text": TEXT}, "this is no row of CLUEWSC"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, told: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=f"line 2: {problem}"):
        made(tmp_path, row("嘴", "true"), told)
