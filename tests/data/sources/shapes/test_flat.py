"""Rows with a key for each text: what is taken, and what is said of rows that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.sources.shape import Misfit, Taken
from bactrian.data.sources.shapes.flat import Alpaca, Dolly, Pairs, SelfInstruct

SHARED = Path(__file__).parents[4].parent / "shared" / "data"
HALF = 'expected whole characters under "output", found half of one (\\ud83d)'


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        ({"instruction": "Say 你好"}, Taken("Say 你好")),
        (
            {"instruction": "a", "input": "שלום 🐪 e\u0301\u200d\n\ttwo", "output": " x \u2028 "},
            Taken("a", "שלום 🐪 e\u0301\u200d\n\ttwo", " x \u2028 "),
        ),
        ({"instruction": "a", "input": None, "output": None, "id": 0}, Taken("a", id="0")),
        (
            {"instruction": "a", "input": "", "id": "alpaca-7", "output": "b"},
            Taken("a", "", "b", "alpaca-7"),
        ),
    ],
)
def test_alpacas_texts_stay_as_they_are(row: dict[str, Any], taken: Taken) -> None:
    assert Alpaca().take(row) == taken


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x"}, 'expected a text under "instruction", found nothing'),
        ({"instruction": None}, 'expected a text under "instruction", found null'),
        ({"instruction": 5}, 'expected a text under "instruction", found a number'),
        ({"instruction": "x", "input": {}}, 'expected a text under "input", found an object'),
        ({"instruction": "x", "output": []}, 'expected a text under "output", found a list'),
        ({"instruction": "x", "id": True}, 'expected a text under "id", found true'),
        ({"instruction": "x", "id": 1.5}, 'expected a text under "id", found a number'),
        ({"instruction": "x", "output": "half \ud83d"}, HALF),
    ],
)
def test_what_is_no_row_of_alpaca_is_said(row: dict[str, Any], told: str) -> None:
    with pytest.raises(Misfit) as misfit:
        Alpaca().take(row)
    assert misfit.value.problem == told


def test_dollys_context_is_the_input_and_its_response_the_output() -> None:
    row = {"instruction": "a", "context": "b", "response": "c", "category": "closed_qa"}
    assert Dolly().take(row) == Taken("a", "b", "c")
    assert Dolly().take({"id": 3, "instruction": "a", "response": ""}) == Taken("a", id="3")
    with pytest.raises(Misfit, match='under "response", found nothing'):
        Dolly().take({"instruction": "a", "context": "b"})


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("prompt", "response"),
        ("prompt", "completion"),
        ("question", "answer"),
        ("question", "response"),
    ],
)
def test_pairs_have_no_input(prompt: str, answer: str) -> None:
    row = {prompt: "q", answer: "a", "source": "x"}
    assert Pairs().fits([row])
    assert Pairs().take(row) == Taken("q", "", "a")


def test_a_system_prompt_beside_a_pair_is_counted() -> None:
    row = {"id": "flan.1", "system_prompt": "You are …", "question": "q", "response": "a"}
    assert Pairs().take(row) == Taken("q", "", "a", "flan.1", {"system messages": 1})
    assert Pairs().take({**row, "system_prompt": ""}).left_out == {}


def test_a_pair_that_is_not_clear_is_none() -> None:
    row = {"prompt": "q", "response": "a", "completion": "b"}
    assert not Pairs().fits([row])
    with pytest.raises(Misfit, match="expected one prompt with one answer, found 2"):
        Pairs().take(row)


def test_the_first_instance_of_a_seed_task_is_taken_and_the_others_are_counted() -> None:
    instances = [{"input": "i", "output": "o"}, {"input": "j", "output": "p"}, {}]
    row = {"id": "seed_task_0", "name": "n", "instruction": "a", "instances": instances}
    shape = SelfInstruct()
    assert shape.take(row) == Taken("a", "i", "o", "seed_task_0", {"further instances": 2})
    assert shape.take({**row, "instances": []}) == Taken("a", id="seed_task_0")
    with pytest.raises(Misfit, match='expected a list of objects under "instances"'):
        shape.take({**row, "instances": ["x"]})


def test_the_real_schema_of_dolly_is_dollys() -> None:
    path = SHARED / "dolly" / "dolly_schema_sample.jsonl"
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert Dolly().fits(rows)
    assert not Alpaca().fits(rows)
    for row in rows:
        taken = Taken(row["instruction"], row["context"], row["response"])
        assert Dolly().take(row) == taken


@pytest.mark.parametrize("language", ["en", "fr", "ru", "zh"])
def test_real_seed_tasks_are_seed_tasks(language: str) -> None:
    path = SHARED / "seed_tasks" / f"seed_tasks.{language}.jsonl"
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert SelfInstruct().fits(rows)
    taken = [SelfInstruct().take(row) for row in rows]
    assert len({one.id for one in taken}) == len(rows)
    assert all(one.instruction and not one.left_out for one in taken)


def test_real_translations_of_alpaca_are_alpacas() -> None:
    path = SHARED / "alpaca_translated" / "zh_carbonz0_0_10020.jsonl.gz"
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert Alpaca().fits(rows[:100])
    taken = [Alpaca().take(row) for row in rows]
    assert [one.output for one in taken] == [row["output"] for row in rows]
