"""The task in a whole evaluation: prompts chosen, answers kept, killed runs, numbers written."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.cli import main
from bactrian.errors import DataError
from bactrian.evaluate import writer
from bactrian.evaluate.confusion.numbers import METRICS
from bactrian.evaluate.confusion.task import Confusion
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.run import evaluate
from bactrian.languages import get
from bactrian.models import adapters, base
from bactrian.models.batched import generate_together
from bactrian.workspace import Workspace, open_workspace

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]
SETTINGS = (
    'eval.tasks=["confusion"]',
    "eval.answers=2",
    "eval.answer_tokens=6",
    "eval.batch_tokens=600",
)


def ready_of(workspace: Workspace, folder: Path) -> Scorers:
    loaded = base.load(workspace.recipe.train.base, dtype="float32")
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], init_lora_weights=False
    )
    with adapters.hushed():
        model = peft.get_peft_model(loaded.model, config)
    model.save_pretrained(folder)
    model.unload()
    return scorers(loaded, {"toy": folder})


def rows(workspace: Workspace) -> list[tuple[Any, ...]]:
    path = workspace.results / "answers.sqlite"
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT * FROM answers ORDER BY 1, 2, 3").fetchall()
    finally:
        connection.close()


def test_every_model_answers_and_is_counted(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace("km,ar", *SETTINGS)
    ready = ready_of(workspace, tmp_path / "toy")
    found = Confusion(workspace).beside(ready, {}, 100)
    assert len(rows(workspace)) == 2 * 2 * 2
    lines = (workspace.results / "confusion.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    assert {(one["model"], one["language"]) for one in told} == set(
        itertools.product(("base", "toy"), ("km", "ar"))
    )
    assert {one["text"] for one in told} == {row[3] for row in rows(workspace)}
    cut = {(one.model, one.language): one for one in found.scores if one.metric == "cut_rate"}
    assert cut.keys() == {(m, c) for m in ("base", "toy") for c in ("km", "ar")}
    assert {one.n for one in cut.values()} == {2}
    assert "|decoding:greedy|tokens:6|" in cut["base", "km"].signature
    assert {one.metric for one in found.scores} <= METRICS.keys()
    assert {one.language for one in found.differences if one.metric == "cut_rate"} == {
        "km",
        "ar",
        "macro",
    }


def test_a_killed_run_goes_on_where_it_was(
    make_workspace: MakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("km,ar", *SETTINGS, root=tmp_path / "one")
    ready = ready_of(workspace, tmp_path / "toy")
    calls: list[Any] = []

    def dies(*told: Any) -> Any:
        calls.append(told)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate_together(*told)

    monkeypatch.setattr(writer, "generate_together", dies)
    with pytest.raises(KeyboardInterrupt):
        Confusion(workspace).beside(ready, {}, 100)
    kept = rows(workspace)
    assert kept, "what was committed stays"
    found = Confusion(workspace).beside(ready, {}, 100)
    asked = len(calls)
    assert set(kept) < set(rows(workspace))
    assert Confusion(workspace).beside(ready, {}, 100) == found
    assert len(calls) == asked, "nothing is written twice"
    whole = make_workspace("km,ar", *SETTINGS, root=tmp_path / "two")
    assert Confusion(whole).beside(ready, {}, 100) == found
    assert rows(whole) == rows(workspace)


def test_what_asks_for_another_language_is_passed_over(make_workspace: MakeWorkspace) -> None:
    english = "The capital of Egypt is Cairo, and it is the largest city of the country."
    arabic = "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها."
    refusing = "عذرا، لا يمكنني المساعدة في ذلك."
    told = [
        ("ترجم إلى الإنجليزية", arabic, english),
        ("كم؟", "", "42"),
        ("اكتب", "", refusing),
        ("ما هي عاصمة مصر؟", "", arabic),
    ]
    workspace = make_workspace("ar", *SETTINGS)
    path = workspace.split("ar", "validation")
    first = next(iter(table.read(path)))
    made = [
        replace(first, example=replace(first.example, id=str(n), instruction=i, input=t, output=o))
        for n, (i, t, o) in enumerate(told)
    ]
    table.write(path, made, "of a test")
    chosen = Confusion(workspace).chosen(get("ar"))
    assert [one.id for one in chosen.examples] == ["3"]
    assert chosen.passed_over == 3


def test_it_stands_in_the_results_of_an_evaluation(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("km", *SETTINGS)
    done = evaluate(workspace, [])
    assert {one.task for one in done.results.scores} == {"confusion"}
    assert not evaluate(workspace, []).fresh
    other = open_workspace(workspace.root, (*SETTINGS, "eval.answer_tokens=5"))
    assert evaluate(other, []).fresh


def test_a_language_without_held_out_rows_is_refused_before_weights_are_loaded(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace("km", *SETTINGS)
    workspace.split("km", "validation").unlink()
    with pytest.raises(DataError, match="does not exist"):
        evaluate(workspace, [], base=lambda: pytest.fail("loaded"))


def test_the_report_shows_every_share_and_difference(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("km,ar", *SETTINGS)
    folder = workspace.adapter("toy")
    ready_of(workspace, folder)
    done = evaluate(workspace, ["toy"])
    assert {one.model for one in done.results.differences} == {"toy"}
    with pytest.raises(SystemExit) as ended:
        main(["report", str(workspace.root)])
    assert not ended.value.code
    page = (workspace.results / "report.md").read_text("utf-8")
    for shown in ("refusals", "empty answers", "answers cut at the limit", "answers in a loop"):
        assert f"**confusion: {shown} (lower is better)**" in page
        assert page.count(f"**confusion: {shown}") == 2, "shares, and differences"
