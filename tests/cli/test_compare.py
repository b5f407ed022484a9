"""``bactrian compare``: the table, the JSON, the gates and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate import results
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.results import Measured, results_of
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules

Run = Callable[..., Any]
LANGUAGES = ("et", "th", "vi")


def measured(language: str, models: dict[str, Sequence[bool]]) -> Measured:
    """Two options a question, -1 nats for the one that the model takes."""
    count = len(next(iter(models.values())))
    items = tuple(Item(str(n), f"{language} {n}", (" ab", " cd"), 0) for n in range(count))
    found = {
        model: {
            (str(n), option): Scored(str(n), option, -1.0 - (option == good), 1, 0)
            for n, good in enumerate(marks)
            for option in (0, 1)
        }
        for model, marks in models.items()
    }
    return Measured("xcopa", language, Rules("acc", "together", ()), "s", items, found)


def text(nats: dict[str, float]) -> Measured:
    items = tuple(Item(str(n), "c", ("abcd",)) for n in range(30))
    found = {
        model: {(i.id, 0): Scored(i.id, 0, -value * (1 + n % 3), 4, 0) for n, i in enumerate(items)}
        for model, value in nats.items()
    }
    return Measured("held-out", "km", Rules("bits_per_byte", "apart", ()), "s", items, found)


def write(folder: Path, right: dict[str, int], nats: dict[str, float]) -> Path:
    """Write results of models that get the first ``right`` of 200 questions right."""
    parts = [
        measured(code, {m: [n < k + 3 * at for n in range(200)] for m, k in right.items()})
        for at, code in enumerate(LANGUAGES)
    ]
    results.write(results_of("some/base", [*parts, text(nats)], Draws(100)), folder, {})
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return write(
        tmp_path / "here",
        {"base": 120, "worse": 90, "same": 119},
        {"base": 2.0, "worse": 2.2, "same": 2.0},
    )


def test_the_table_has_every_language_and_average(run: Run, here: Path) -> None:
    done = run("compare", "worse", "base", "--in", here)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "A = worse   B = base"
    (macro,) = [line.split() for line in lines if line.startswith("xcopa") and "macro" in line]
    assert macro[:7] == ["xcopa", "macro", "acc", "200", "46.5", "61.5", "-15.0"]
    assert macro[-1] == "worse"
    th = next(line.split() for line in lines if "xcopa" in line and " th " in line)
    assert th[9:11] == ["<0.001", "<0.001"]
    (km,) = [line.split() for line in lines if line.startswith("held-out")]
    assert km[1:3] == ["km", "bits_per_byte"]
    assert km[-1] == "worse"
    assert len({line.index("[") for line in lines if "[" in line}) <= 2


def test_the_json_has_what_the_table_has(run: Run, here: Path) -> None:
    done = run("compare", "worse", "base", "--in", here, "--json", "--gate", "xcopa:macro >= -1")
    told = json.loads(done.out)
    assert done.code == 1
    assert told["broken"] is True
    assert "WORSE" in done.err  # the log of a CI says why, the file of its next step is JSON
    macro = next(one for one in told["differences"] if one["language"] == "macro")
    assert macro["value"] == pytest.approx(-0.15)
    assert macro["clear"]
    assert not macro["better"]
    assert {"p", "adjusted", "detectable", "model_value", "low", "high"} <= macro.keys()
    (gate,) = told["gates"]
    assert (gate["gate"], gate["outcome"]) == ("xcopa:macro >= -1", "worse")
    assert gate["difference"]["language"] == "macro"


def test_a_gate_that_is_broken_exits_1_and_says_why(run: Run, here: Path) -> None:
    done = run(
        "compare", "worse", "base", "--in", here,
        "--gate", "xcopa:macro >= -1.0", "--gate", "held-out:km <= 5", "--gate", "xcopa:th >= -30",
    )  # fmt: skip
    assert done.code == 1
    told = [line for line in done.out.splitlines() if line.startswith("gate ")]
    assert [line.split(": ")[1].split(".")[0] for line in told] == ["WORSE", "HOLDS", "HOLDS"]
    assert "worse less base is -15.0 points" in told[0]
    assert "not by chance" in told[0]
    assert run("compare", "worse", "base", "--in", here, "--gate", "held-out:km <= 0.02").code == 1


def test_gates_that_hold_or_cannot_be_told_exit_0(run: Run, here: Path) -> None:
    words = ("compare", "same", "base", "--in", here, "--gate")
    done = run(*words, "xcopa:macro >= -3")
    assert (done.code, "HOLDS" in done.out) == (0, True)
    small = run(*words, "xcopa:et >= 0")
    assert small.code == 0
    assert "CANNOT BE TOLD" in small.out
    assert "too small to tell" in small.out
    assert run(*words, "xcopa:et >= 0", "--strict").code == 1
    assert run(*words, "xcopa:macro >= -3", "--strict").code == 0


def test_two_runs_are_paired_by_question(run: Run, here: Path, tmp_path: Path) -> None:
    before = write(tmp_path / "before", {"base": 120, "multi": 118}, {"base": 2.0, "multi": 1.9})
    after = write(tmp_path / "after", {"base": 120, "multi": 150}, {"base": 2.0, "multi": 1.8})
    done = run("compare", after, before / "results.json", "--gate", "xcopa:micro >= 0")
    assert done.code == 0
    assert done.out.startswith(f"A = {after}:multi   B = {before / 'results.json'}:multi")
    assert "HOLDS" in done.out
    assert run("compare", before, after, "--gate", "xcopa:micro >= 0").code == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--gate", "xcopa:macro > 1"], 2, "is no gate"),
        (["--gate", "xcopq:macro >= -1"], 2, "did you mean xcopa?"),
        (["--gate", "xcopa:zh >= -1"], 2, "xcopa has no zh here"),
        (["--gate", "xcopa:macro <= 1"], 2, "more is better"),
        (["--tasks", "exams"], 2, "no results of exams"),
        (["--metric", "f1_macro"], 5, "measured by f1_macro"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, here: Path, words: list[str], code: int, says: str
) -> None:
    done = run("compare", "same", "base", "--in", here, *words)
    assert done.code == code
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_folder_without_results_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("compare", tmp_path, "base")
    assert done.code == 2
    assert "is no folder with results" in done.err
