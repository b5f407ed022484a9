"""Tasks of every kind in one evaluation: labels, variants, task files, and what they find."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian import registry
from bactrian.evaluate.run import evaluate
from bactrian.evaluate.tasks.held_out import HeldOut
from bactrian.schema import Score
from bactrian.workspace import Workspace, open_workspace

pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace in which only the base is there to be measured."""
    return make_workspace("zh,vi")


def again(workspace: Workspace, *overrides: str) -> Workspace:
    return open_workspace(workspace.root, overrides)


def put_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), "utf-8")


def premise(number: int) -> dict[str, Any]:
    choices = {"choice1": "她笑了。", "choice2": "天黑了。"}
    return {"premise": f"第{number}天。", **choices, "question": "cause", "label": 0, "idx": number}


def test_labels_are_scored_after_nothing_too_and_make_a_calibrated_number(
    workspace: Workspace,
) -> None:
    labels = ("positive", "neutral", "negative")
    rows = [{"id": str(n), "text": f"駅{n}。", "label": labels[n % 3]} for n in range(6)]
    put_lines(workspace.root / "mood" / "ja.jsonl", rows)
    told = ('eval.tasks=["sentimentx"]', 'eval.data={sentimentx = "mood"}')
    done = evaluate(again(workspace, *told, 'eval.languages={sentimentx = "ja"}'), [])
    metrics = {score.metric: score for score in done.results.scores}
    plain = {"f1_macro", "f1_weighted", "acc"}
    assert plain < metrics.keys()
    assert len(metrics) == 2 * len(plain), "each of them is there calibrated as well"
    assert {score.n for score in metrics.values()} == {6}


def test_two_ways_of_asking_stand_side_by_side(workspace: Workspace) -> None:
    sentences = [
        {
            "sentence": f"{n}号放不进箱子，因为_太大。",
            "option1": "箱子",
            "option2": "球",
            "answer": 2,
        }
        for n in range(4)
    ]
    put_lines(workspace.root / "winograd" / "zh.jsonl", sentences)
    told = (
        'eval.tasks=["xcopa", "xcopa@lm-eval", "xcopa:letter", "xwinograd"]',
        'eval.data={xcopa = "xcopa", xwinograd = "winograd"}',
        'eval.languages={xcopa = "zh", xwinograd = "zh"}',
    )
    put_lines(workspace.root / "xcopa" / "zh.jsonl", [premise(n) for n in range(4)])
    done = evaluate(again(workspace, *told), [])
    signatures = {score.task: score.signature for score in done.results.scores}
    assert "|prompt:lm-eval-1.0|form:cloze|" in signatures["xcopa@lm-eval"]
    assert "|form:letter|" in signatures["xcopa:letter"]
    assert "|prompt:native-1|" in signatures["xcopa"]
    assert {score.task: score.n for score in done.results.scores}["xwinograd"] == 4


def test_a_task_file_is_a_task_and_its_words_are_part_of_the_results(workspace: Workspace) -> None:
    lines = """
name = "capitals"
version = "1"
data = "capitals.jsonl"
languages = "vi"
fields = ["land"]
[columns]
options = ["a", "b"]
[templates.cloze]
context = "{land}{colon}"
"""
    (workspace.root / "mine.toml").write_text(lines)
    rows = [{"land": str(n), "a": "Lima", "b": "Rom", "answer": n % 2} for n in range(4)]
    put_lines(workspace.root / "capitals.jsonl", rows)
    mine = again(workspace, 'eval.tasks=["mine.toml"]', "eval.languages={}", "eval.data={}")
    first = evaluate(mine, [])
    assert {(score.task, score.n) for score in first.results.scores} == {("capitals", 4)}
    assert not evaluate(mine, []).fresh
    (workspace.root / "mine.toml").write_text(lines.replace("{land}{colon}", "{land}"))
    assert evaluate(mine, []).fresh


def test_what_a_task_finds_by_itself_stands_in_the_results(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval's tasks have numbers that are made by its own functions."""
    seen: dict[str, Any] = {}

    class Beside(HeldOut):
        def beside(self, ready: Any, found: Any, draws: int) -> Any:
            seen.update(found=found, models=list(ready.keys), draws=draws)
            score = Score("base", self.name, "zh", "rouge", 0.5, 0.4, 0.6, 9, "s", True)
            return SimpleNamespace(scores=(score,), differences=(), notes=("told",))

    find = registry.find
    monkeypatch.setattr(
        registry, "find", lambda kind, name: Beside if kind == "tasks" else find(kind, name)
    )
    done = evaluate(again(workspace, 'eval.tasks=["held-out"]'), [])
    assert {score.metric for score in done.results.scores} == {"bits_per_byte", "rouge"}
    assert "told" in done.results.notes
    assert (list(seen["found"]), seen["models"]) == (["zh", "vi"], ["base"])
    assert set(seen["found"]["zh"]) == {"base"}


def test_questions_met_in_training_are_told_apart(
    make_workspace: MakeWorkspace, sentences: dict[str, list[str]]
) -> None:
    """One question is a training row, the others are not."""
    seen, *others = sentences["vi"][:4]
    workspace = make_workspace("vi", rows={"vi": [("y", "", "z")] * 4 + [(seen, "", "x")] * 2})
    rows = [{"id": str(n), "text": text, "label": "positive"} for n, text in enumerate(others)]
    rows.append({"id": "seen", "text": seen, "label": "negative"})
    labels = """
[labels.vi]
positive = "tốt"
negative = "xấu"
"""
    (workspace.root / "mine.toml").write_text(
        'name = "mood"\nversion = "1"\ndata = "mood.jsonl"\nmetric = "f1"\nfields = ["text"]\n'
        '[columns]\nid = "id"\ngold = "label"\n'
        f'[templates.cloze]\ncontext = "{{text}}{{colon}}"\n{labels}',
        "utf-8",
    )
    put_lines(workspace.root / "mood.jsonl", rows)
    told = ('eval.tasks=["mine.toml"]', "eval.contamination=true")
    done = evaluate(again(workspace, *told), [])
    sizes = {(score.group, score.n) for score in done.results.groups}
    assert {("dirty", 1), ("clean", 3)} <= sizes
    assert any("1 of 4 items stand in the training rows" in note for note in done.results.notes)
    assert not evaluate(again(workspace, *told), []).fresh
    assert not evaluate(again(workspace, told[0]), []).results.groups
