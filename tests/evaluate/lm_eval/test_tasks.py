"""lm-eval's tasks from ``bactrian eval``: items, numbers, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.lm_eval import leaves
from bactrian.evaluate.lm_eval.tasks import LmEvalTask, item
from bactrian.evaluate.run import evaluate, forecast
from bactrian.models.base import load
from bactrian.workspace import Workspace

lm_eval = pytest.importorskip("lm_eval")
huggingface = pytest.importorskip("lm_eval.models.huggingface")
pytestmark = pytest.mark.filterwarnings("ignore")

Make = Callable[..., Workspace]


@pytest.fixture
def asking(make_workspace: Make, task_files: Path) -> Make:
    """Return a maker of workspaces that ask some of lm-eval's tasks."""

    def make(*names: str, more: tuple[str, ...] = ()) -> Workspace:
        told = ", ".join(f'"lm_eval:{name}"' for name in names)
        return make_workspace(
            "zh,vi",
            f"eval.tasks=[{told}]",
            f'eval.lm_eval_paths=["{task_files}"]',
            *more,
        )

    return make


def task(workspace: Workspace, name: str) -> LmEvalTask:
    return LmEvalTask(workspace, None, f":{name}")


def test_a_group_is_one_task_in_several_languages(asking: Make) -> None:
    found = task(asking("toy_choice"), "toy_choice")
    assert found.name == "lm_eval:toy_choice"
    assert [language.code for language in found.languages()] == ["et", "th"]
    facts = dict(found.rules.facts)
    assert (facts["version"], facts["shots"]) == ("1.0", "0")
    assert facts["prompt"].startswith("lm_eval-")
    assert [len(list(found.items(language))) for language in found.languages()] == [5, 5]


def test_an_item_is_what_lm_eval_asks(asking: Make, task_files: Path) -> None:
    found = task(asking("toy_choice_th"), "toy_choice_th")
    (language,) = found.languages()
    (leaf,) = leaves.load("toy_choice_th", [str(task_files)])
    items = list(found.items(language))
    for one, asked in zip(items, leaves.asked(leaf), strict=True):
        assert one.pairs() == asked.pairs
        assert one.texts == tuple(asked.document["choices"])
        assert one.gold == asked.document["label"]
        assert (one.id, one.group) == (str(asked.id), "")


def test_several_tasks_in_one_language_are_its_groups(asking: Make, task_files: Path) -> None:
    (task_files / "both.yaml").write_text("group: both\ntask: [toy_choice_th, toy_scores_th]\n")
    found = task(asking("both"), "both")
    items = list(found.items(found.languages()[0]))
    assert [one.id for one in items[4:6]] == ["toy_choice_th/4", "toy_scores_th/0"]
    assert {one.group for one in items} == {"toy_choice_th", "toy_scores_th"}


def test_contexts_that_differ_are_kept(task_files: Path, asking: Make) -> None:
    """As in XWinograd: what stands before differs, and what follows is scored."""
    (task_files / "gap.py").write_text(
        "def text(doc):\n    return doc['label'] % 2\n"
        "def choices(doc):\n    return [doc['stem'][:5], doc['stem'][:9]]\n"
        "def target(doc):\n    return doc['text']\n"
    )
    path = task_files / "choice_th.yaml"
    told = path.read_text().partition("output_type")[0].replace("toy_choice_th", "toy_gap_th")
    path.write_text(
        told + "output_type: multiple_choice\ndoc_to_text: !function gap.text\n"
        "doc_to_choice: !function gap.choices\ndoc_to_target: !function gap.target\n"
        "metric_list:\n  - metric: acc\n"
    )
    found = task(asking("toy_gap_th"), "toy_gap_th")
    one = next(found.items(found.languages()[0]))
    assert len(set(one.contexts)) == 2
    assert len(set(one.options)) == 1
    assert one.texts == one.contexts
    assert one.gold == 0


def test_languages_are_those_that_the_recipe_asks_for(asking: Make) -> None:
    told = asking("toy_choice", more=('eval.languages={"lm_eval:toy_choice" = "th"}',))
    assert [language.code for language in task(told, "toy_choice").languages()] == ["th"]
    other = asking("toy_choice", more=('eval.languages={"lm_eval:toy_choice" = "fi"}',))
    with pytest.raises(ConfigError, match="no task in the languages asked for"):
        task(other, "toy_choice")


def test_a_task_that_names_no_language_is_the_recipes(asking: Make, task_files: Path) -> None:
    path = task_files / "choice_th.yaml"
    path.write_text(path.read_text().replace("toy_choice_th", "toy"))
    assert [one.code for one in task(asking("toy"), "toy").languages()] == ["en"]
    told = asking("toy", more=('eval.languages={"lm_eval:toy" = "th"}',))
    assert [one.code for one in task(told, "toy").languages()] == ["th"]


def test_a_right_option_that_is_not_there_is_refused_before_the_model(
    asking: Make, task_files: Path
) -> None:
    path = task_files / "th.jsonl"
    path.write_text(path.read_text().replace('"label": 1', '"label": 9'))
    with pytest.raises(DataError, match=r"toy_choice_th, document 1: the right option is 9"):
        forecast(asking("toy_choice_th"))


def test_a_right_option_may_be_told_by_its_text(task_files: Path) -> None:
    (leaf,) = leaves.load("toy_choice_th", [str(task_files)])
    leaf.task.config.doc_to_target = "{{choices[label]}}"
    golds = [item(leaf, one).gold for one in leaves.asked(leaf)]
    assert golds == [0, 1, 2, 0, 1]


def test_a_name_without_a_task_is_refused(make_workspace: Make) -> None:
    with pytest.raises(ConfigError, match="names no task"):
        LmEvalTask(make_workspace(), None, ":")


def test_what_is_asked_without_items_is_hashed(asking: Make, task_files: Path) -> None:
    """Results are made anew where it changes; of items, their own texts are hashed."""
    kept = task(asking("toy_rolling_th"), "toy_rolling_th")
    assert kept.languages() == ()
    first = kept.content()
    assert first == task(asking("toy_rolling_th"), "toy_rolling_th").content()
    assert first != task(asking("toy_writing_th"), "toy_writing_th").content()
    assert first != task(asking("toy_rolling_th", more=("limit=2",)), "toy_rolling_th").content()
    path = task_files / "th.jsonl"
    path.write_text(path.read_text().replace('"text": "', '"text": "ก'))
    assert first != task(asking("toy_rolling_th"), "toy_rolling_th").content()


def reference(base: Path, folder: Path, *names: str) -> dict[str, Any]:
    """Return what lm-eval's own model gets."""
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model=huggingface.HFLM(pretrained=str(base), dtype="float32", device="cpu", batch_size=4),
        tasks=list(names),
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
    )
    results: dict[str, Any] = found["results"]
    return results


def test_numbers_of_every_kind_of_task_are_lm_evals(
    asking: Make, task_files: Path, tiny_base: Path, adapter: Callable[..., Path]
) -> None:
    kinds = ("choice", "scores", "several", "rolling", "writing")
    names = [f"toy_{kind}_th" for kind in kinds]
    done = evaluate(
        asking(*names), [str(adapter(tiny_base))], lambda: load(str(tiny_base), dtype="float32")
    )
    wanted = reference(tiny_base, task_files, *names)
    found = {(one.task, one.metric): one for one in done.results.scores if one.model == "base"}
    for name in names:
        for metric, value in wanted[name].items():
            if "," not in metric or "_stderr" in metric:
                continue
            called = metric.partition(",")[0]
            mine = found[f"lm_eval:{name}", called]
            assert mine.value == pytest.approx(value, abs=1e-5), (name, metric)
            assert mine.n == 5
            assert mine.low <= mine.value <= mine.high
    models = {one.model for one in done.results.scores}
    assert models == {"base", adapter(tiny_base).name}
    compared = {(one.task, one.metric) for one in done.results.differences}
    assert ("lm_eval:toy_rolling_th", "bits_per_byte") in compared
    assert ("lm_eval:toy_scores_th", "brier_score") in compared
    assert not found["lm_eval:toy_scores_th", "brier_score"].higher_is_better
    assert (
        "kind:loglikelihood_rolling" in found["lm_eval:toy_rolling_th", "bits_per_byte"].signature
    )
    assert not evaluate(asking(*names), [str(adapter(tiny_base))]).fresh


def test_a_task_without_items_may_stand_alone(
    asking: Make, tiny_base: Path, adapter: Callable[..., Path]
) -> None:
    folder = adapter(tiny_base)
    done = evaluate(asking("toy_rolling_th"), [str(folder)])
    assert [(one.model, one.metric) for one in done.results.scores] == [
        ("base", "bits_per_byte"),
        (folder.name, "bits_per_byte"),
    ]
    (difference,) = done.results.differences
    assert (difference.model, difference.against) == (folder.name, "base")
    assert not difference.higher_is_better
