"""From a results folder back to the texts: what is shown is what was scored, or it is not shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fabricated import Plan, fabricate

from bactrian.evaluate.answered import Measured, answered
from bactrian.evaluate.items import NAME
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.report import Report, write
from bactrian.evaluate.report.drilldown import hash_of, with_averages, with_evidence
from bactrian.evaluate.results import results_of
from bactrian.evaluate.results import write as write_results
from bactrian.evaluate.store import Scored, open_store
from bactrian.evaluate.tasks import Item
from bactrian.evaluate.tasks.finding import items as items_of
from bactrian.evaluate.tasks.finding import tasks
from bactrian.languages import get
from bactrian.workspace import Workspace, open_workspace

PREMISES = {
    "zh": ("我打开了水龙头。", "水流了出来。", "水关掉了。"),
    "th": ("ฉันเปิดก๊อกน้ำ", "น้ำไหลออกมา", "น้ำหยุดไหล"),
}
KEY = {"zh": "aaaa0000" + "1" * 24, "th": "bbbb0000" + "2" * 24}
BETTER = {"base": 0, "multi": 1}
Edit = Callable[[Path], None]


def told(language: str, folder: Path) -> None:
    """Write ten questions; the right option is the first and the second in turn."""
    premise, first, second = PREMISES[language]
    rows = [
        {"premise": f"{number} {premise}", "choice1": first, "choice2": second,
         "question": "effect", "label": number % 2, "idx": number}
        for number in range(10)
    ]  # fmt: skip
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / f"{language}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder with a recipe, questions in two languages, and what two models made of them."""
    root = tmp_path / "toy"
    (root / "xcopa").mkdir(parents=True)
    (root / "recipe.toml").write_text(
        'name = "toy"\nlanguages = "zh,th"\n[train]\nbase = "nobody/nothing"\n'
        '[eval]\ntasks = ["xcopa"]\n[eval.data]\nxcopa = "xcopa"\n'
    )
    for language in PREMISES:
        told(language, root / "xcopa")
    made = open_workspace(root)
    task = tasks(made)[0]
    measured = []
    with open_store(made.results / "scores.sqlite") as store:
        for code, key in KEY.items():
            items = tuple(items_of(task, get(code)))
            found = {model: _scored(items, model) for model in BETTER}
            for model, scores in found.items():
                store.put(f"scorer of {model}", key, scores.values())
            signature = f"task:xcopa|lang:{code}|texts:{key[:8]}"
            measured.append(Measured("xcopa", code, task.rules, signature, items, found))
    results = results_of("nobody/nothing", measured, Draws(100, 0))
    write_results(results, made.results, {})
    return made


def _scored(items: tuple[Item, ...], model: str) -> dict[tuple[str, int], Scored]:
    """The base always prefers the first option; the adapter knows, but for the first question."""
    found = {}
    for place, item in enumerate(items):
        best = 0 if model == "base" else item.gold if place else 1 - item.gold
        for option in range(2):
            nats = -2.0 - 3.0 * (option != best) - 0.01 * place
            found[item.id, option] = Scored(item.id, option, nats, 5 + option, int(place == 3))
    return found


@pytest.fixture
def report() -> Report:
    return fabricate(Plan(("zh", "th"), ("xcopa",), items=0))


def test_the_worst_items_are_those_with_the_smallest_margins(
    workspace: Workspace, report: Report
) -> None:
    chinese, thai = with_evidence(report, workspace, worst=3).evidence
    assert (chinese.task, chinese.language, thai.language) == ("xcopa", "zh", "th")
    assert (chinese.models, chinese.focus, chinese.items) == (("base", "multi"), "multi", 10)
    assert len(chinese.worst) == 3
    first = chinese.worst[0]
    assert first.id == "0"
    assert "水龙头" in first.context
    assert list(first.values) == pytest.approx([3.0, -3.0])
    assert first.picked == (0, 1)
    assert first.gold == 0
    assert chinese.worst[1].values[1] == pytest.approx(3.0)


def test_answers_are_counted_by_option(workspace: Workspace, report: Report) -> None:
    chinese = with_evidence(report, workspace).evidence[0]
    assert chinese.labels == ("option 1", "option 2")
    assert chinese.key == (5, 5)
    assert chinese.picked == {"base": (10, 0), "multi": (4, 6)}
    assert not chinese.named


def test_tokens_come_from_the_score_store(workspace: Workspace, report: Report) -> None:
    cost = with_evidence(report, workspace).evidence[0].cost
    assert (cost.items, cost.tokens, cost.cut) == (10, 110, 1)
    (workspace.results / "scores.sqlite").unlink()
    assert with_evidence(report, workspace).evidence[0].cost.tokens == 0


def test_the_hash_is_the_one_that_the_answers_are_kept_with(workspace: Workspace) -> None:
    task = tasks(workspace)[0]
    items = tuple(items_of(task, get("zh")))
    scores = _scored(items, "base")
    kept = answered(Measured("xcopa", "zh", task.rules, "s", items, {"base": scores}))
    assert [hash_of(item) for item in items] == [question.hash for question in kept.questions]


def _other_words(root: Path) -> None:
    path = root / "xcopa" / "zh.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("水龙头", "窗户"), encoding="utf-8")


def _gone(root: Path) -> None:
    (root / "xcopa" / "zh.jsonl").unlink()


@pytest.mark.parametrize("edit", [_other_words, _gone])
def test_questions_that_are_others_now_are_not_shown_and_the_rest_is(
    workspace: Workspace, report: Report, edit: Edit
) -> None:
    edit(workspace.root)
    found = with_evidence(report, workspace)
    assert [one.language for one in found.evidence] == ["th"]
    assert any(note.startswith("xcopa zh: items are not shown: ") for note in found.notes)


def test_without_items_the_report_says_what_to_do(workspace: Workspace, report: Report) -> None:
    (workspace.results / NAME).unlink()
    found = with_evidence(report, workspace)
    assert found.evidence == ()
    assert "run bactrian eval" in found.notes[-1]


def test_a_damaged_table_costs_the_items_and_not_the_report(
    workspace: Workspace, report: Report
) -> None:
    path = workspace.results / NAME
    path.write_bytes(path.read_bytes()[:100])
    found = with_evidence(report, workspace)
    assert found.evidence == ()
    assert "Single items are not shown" in found.notes[-1]


def test_averages_and_baselines_come_from_the_results_once(
    workspace: Workspace, report: Report
) -> None:
    whole = with_averages(report, workspace)
    averages = {(one.model, one.language) for one in whole.scores if one.language == "macro"}
    assert {("base", "macro"), ("multi", "macro")} <= averages
    assert {one.model for one in whole.baselines} >= {"majority answer"}
    again = with_averages(whole, workspace)
    assert again.scores == whole.scores
    assert again.differences == whole.differences


def test_the_page_holds_the_items_in_their_own_scripts(
    workspace: Workspace, report: Report, tmp_path: Path
) -> None:
    whole = with_evidence(with_averages(report, workspace), workspace)
    written = write(whole, tmp_path / "out", paper=True)
    source = written.html.read_text(encoding="utf-8")
    for said in ("ก๊อกน้ำ", "水龙头", 'lang="th"', "smallest margins of multi", "majority answer"):
        assert said in source, said
    assert written.paper is not None
    assert "no run" in written.paper.read_text(encoding="utf-8")


def test_shown_models_are_the_base_and_those_of_the_language(workspace: Workspace) -> None:
    adapters: Mapping[str, tuple[str, ...]] = {"other": ("en",), "multi": ("zh", "th")}
    plan = Plan(("zh", "th"), ("xcopa",), adapters=tuple(adapters.items()), items=0)
    found = with_evidence(fabricate(plan), workspace).evidence[0]
    assert found.models == ("base", "multi")
