"""bactrian eval: tasks and data of the command line, and what is refused before a model loads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bactrian.models.huge_pages import SWITCH

Run = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Questions of XCOPA in two languages, and the folder they lie in as the current one."""
    told = {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0}
    place = tmp_path / "questions"
    place.mkdir()
    for code in ("zh", "th"):
        rows = (json.dumps({**told, "idx": number}) + "\n" for number in range(3))
        (place / f"{code}.jsonl").write_text("".join(rows))
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nversion = "1"\ndata = "questions/{language}.jsonl"\n'
        'languages = "zh,th"\nfields = ["premise"]\n'
        '[columns]\noptions = ["choice1", "choice2"]\ngold = "label"\n'
        '[templates.cloze]\ncontext = "{premise}"\n'
    )
    monkeypatch.chdir(tmp_path)
    return place


def asked(run: Run, folder: Path, *words: object) -> dict[tuple[str, str], int]:
    done = run("eval", folder, *words, "--dry-run", "--json")
    assert done.code == 0, done.err
    return {(one["task"], one["language"]): one["items"] for one in json.loads(done.out)["tasks"]}


@pytest.mark.usefixtures("data")
def test_tasks_and_data_are_told_on_the_command_line(run: Run, folder: Path) -> None:
    told = (
        "--tasks",
        "xcopa,xcopa:letter",
        "--tasks",
        "xcopa@lm-eval",
        "--data",
        "xcopa=questions",
    )
    names = ("xcopa", "xcopa:letter", "xcopa@lm-eval")
    assert asked(run, folder, *told) == {(name, "zh"): 3 for name in names}
    both = {(name, code): 2 for name in names for code in ("th", "zh")}
    assert asked(run, folder, *told, "-l", "all", "--limit", 2) == both


@pytest.mark.usefixtures("data")
def test_scoring_asks_for_huge_pages(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "")  # put back after the test, whatever the verb sets
    monkeypatch.delenv(SWITCH)
    asked(run, folder, "--tasks", "xcopa", "--data", "xcopa=questions")
    assert os.environ[SWITCH] == "1"


@pytest.mark.usefixtures("data")
def test_a_task_file_is_one_of_the_current_folder(run: Run, folder: Path) -> None:
    assert asked(run, folder, "--tasks", "mine.toml", "-l", "th,zh") == {
        ("mine", "th"): 3,
        ("mine", "zh"): 3,
    }


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--tasks", "xcoppa"), 2, "unknown task xcoppa"),
        (("--tasks", "none.toml"), 2, "none.toml does not exist"),
        (("--tasks", "xcopa", "--data", "questions"), 2, "--data questions names no task"),
        (("--tasks", "xcopa"), 2, "does not say where the data of xcopa lie"),
        (("--tasks", "xcopa", "--data", "xcopa=hub"), 2, "needs the network"),
        (("--tasks", "xcopa", "--data", "xcopa=none"), 5, "has no xcopa in Chinese"),
        (("--tasks", "xcopa", "--data", "xcopa=questions", "-l", "km"), 2, "none of the recipe's"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, folder: Path, words: tuple[str, ...], code: int, problem: str
) -> None:
    done = run("eval", folder, *words, "--dry-run")
    assert done.code == code
    assert problem in " ".join(done.err.split())


def test_what_follows_a_task_of_lm_eval_is_one_too() -> None:
    from bactrian.cli.evaluate import _tasks

    (told,) = _tasks(["lm_eval:belebele_tam_Taml,global_mmlu_sw,xcopa", "exams:letter"])
    assert json.loads(told.removeprefix("eval.tasks=")) == [
        "lm_eval:belebele_tam_Taml",
        "lm_eval:global_mmlu_sw",
        "xcopa",
        "exams:letter",
    ]


@pytest.mark.usefixtures("data")
def test_without_an_adapter_the_base_alone_is_measured(
    run: Run, folder: Path, tiny_base: Path
) -> None:
    words = ("--tasks", "mine.toml", "-l", "th", "--set", f'train.base="{tiny_base}"', "--json")
    done = run("eval", folder, *words)
    assert done.code == 0, done.err
    assert "no adapter is trained yet: the base alone" in done.err
    told = json.loads(done.out)
    assert {(one["model"], one["task"], one["n"]) for one in told["scores"]} == {
        ("base", "mine", 3)
    }
    assert run("eval", folder, "none", *words).code == 7


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "world", "problem"),
    [
        (("--engine", "ray"), "2", "torchrun and --engine ray would both spread the work"),
        (("--engine", "ray", "--backend", "http://127.0.0.1:1/v1"), "1", "nothing to spread"),
        (("--engine", "ray", "--num-cpus", "0"), "1", "0 CPU"),
    ],
)
def test_an_engine_that_has_no_meaning_is_refused(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    world: str,
    problem: str,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", world)
    monkeypatch.setenv("RANK", "0")
    done = run("eval", folder, "--tasks", "mine.toml", "-l", "th", *words)
    assert done.code == 2
    assert problem in " ".join(done.err.split())


def test_a_dry_run_says_what_would_be_written(
    run: Run, make_workspace: Callable[..., Any], tmp_path: Path
) -> None:
    told = make_workspace("zh,vi").root
    words = ("--tasks", "held-out,confusion", "--set", "eval.answers=2", "--dry-run")
    done = run("eval", told, *words, "-l", "all")
    assert done.code == 0, done.err
    assert "confusion zh  2 prompts to answer, at most 200 tokens" in done.out
    assert "confusion: no held-out rows in af, ar" in " ".join(done.out.split())
    assert "under 1 model: 6 texts to score, at most 400 tokens to write" in done.out
    facts = json.loads(run("eval", told, *words, "--json").out)
    assert [one["prompts"] for one in facts["writes"]] == [2, 2]
    assert (facts["models"], len(facts["tasks"])) == (1, 2)
