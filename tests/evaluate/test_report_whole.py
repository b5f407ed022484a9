"""From an evaluation on a tiny base to the report of it: nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bactrian.evaluate.gather import gather
from bactrian.evaluate.report import write
from bactrian.evaluate.report.drilldown import with_averages, with_evidence
from bactrian.evaluate.run import evaluate
from bactrian.workspace import Workspace

pytest.importorskip("torch")

MakeWorkspace = Callable[..., Workspace]
SETTINGS = (
    'eval.tasks=["held-out", "xcopa"]',
    'eval.data={xcopa = "xcopa"}',
    'eval.languages={xcopa = "zh"}',
)


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace of two languages with held-out rows and six questions of XCOPA's kind."""
    made = make_workspace("zh,vi", *SETTINGS)
    path = made.root / "xcopa" / "zh.jsonl"
    path.parent.mkdir()
    rows = (
        {"premise": f"女人看见了{number}只鸟。", "choice1": "她笑了。", "choice2": "天黑了。",
         "question": "effect", "label": number % 2, "idx": number}
        for number in range(6)
    )  # fmt: skip
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return made


def test_an_evaluation_becomes_a_report_down_to_its_items(workspace: Workspace) -> None:
    evaluate(workspace, [])
    report = with_evidence(with_averages(gather(workspace), workspace), workspace, worst=2)
    told = {(one.task, one.language): one for one in report.evidence}
    assert set(told) == {("held-out", "zh"), ("held-out", "vi"), ("xcopa", "zh")}
    text, question = told["held-out", "vi"], told["xcopa", "zh"]
    assert (text.items, text.choice, text.models, text.focus) == (3, False, ("base",), "base")
    assert text.worst[0].values >= text.worst[1].values  # most bits per byte first
    assert text.cost.tokens > text.cost.items
    assert question.worst[0].values <= question.worst[1].values  # smallest margin first
    score = next(one for one in report.scores if one.task == "held-out" and one.language == "vi")
    whole = with_evidence(report, workspace, worst=99).evidence
    vietnamese = next(one for one in whole if (one.task, one.language) == ("held-out", "vi"))
    costs = [one.values[0] for one in vietnamese.worst]
    assert min(costs) <= score.value <= max(costs)
    right = sum(one.picked[0] == one.gold for it in whole if it.task == "xcopa" for one in it.worst)
    accuracy = next(one for one in report.scores if (one.task, one.metric) == ("xcopa", "acc"))
    assert accuracy.value == pytest.approx(right / 6)
    written = write(report, workspace.results, paper=True)
    source = written.html.read_text(encoding="utf-8")
    assert "女人看见了" in source
    assert 'lang="vi"' in source
