"""lm-eval's evaluator with our model, for tasks that have no items of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.lm_eval import leaves, others
from bactrian.evaluate.lm_eval.columns import Draws, Numbers, Place
from bactrian.evaluate.lm_eval.others import Limits
from bactrian.languages import get
from bactrian.models import base

lm_eval = pytest.importorskip("lm_eval")
huggingface = pytest.importorskip("lm_eval.models.huggingface")
pytestmark = pytest.mark.filterwarnings("ignore")
DRAWS = Draws(50, 0)


@pytest.fixture
def ready(tiny_base: Path, adapter: Callable[..., Path]) -> Scorers:
    loaded = base.load(str(tiny_base), dtype="float32")
    return scorers(loaded, {"one": adapter(tiny_base, 1), "two": adapter(tiny_base, 2)})


def leaf(name: str, folder: Path) -> leaves.Leaf:
    (found,) = leaves.load(name, [str(folder)])
    return found


def test_every_model_is_measured_by_itself(
    ready: Scorers, tiny_base: Path, adapter: Callable[..., Path], task_files: Path
) -> None:
    from lm_eval.tasks import TaskManager

    found = [(get("th"), leaf(f"toy_{kind}_th", task_files)) for kind in ("rolling", "writing")]
    told = others.run(ready, "lm_eval:both", found, DRAWS, Limits(None, 512))
    scores = {(one.model, one.task): one for one in told.scores}
    for model, adapted in (("base", None), ("one", 1), ("two", 2)):
        own = {"peft": str(adapter(tiny_base, adapted))} if adapted else {}
        wanted = lm_eval.simple_evaluate(
            model=huggingface.HFLM(pretrained=str(tiny_base), dtype="float32", device="cpu", **own),
            tasks=[one.task for _, one in found],
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
        )["results"]
        mine = scores[model, "lm_eval:both/toy_rolling_th"]
        assert mine.value == pytest.approx(wanted["toy_rolling_th"]["bits_per_byte,none"], abs=1e-6)
        assert scores[model, "lm_eval:both/toy_writing_th"].metric == "exact_match"
    assert {one.model for one in told.differences} == {"one", "two"}
    assert told.notes == ()


def test_nothing_to_run_is_nothing(ready: Scorers) -> None:
    assert others.run(ready, "lm_eval:none", [], DRAWS, Limits(None, 512)) == Numbers()


def test_documents_are_limited(ready: Scorers, task_files: Path) -> None:
    found = [(get("th"), leaf("toy_rolling_th", task_files))]
    told = others.run(ready, "lm_eval:x", found, DRAWS, Limits(2, 512))
    assert {one.n for one in told.scores} == {2}
    assert {one.task for one in told.scores} == {"lm_eval:x"}
    assert "|shots:0|" in told.scores[0].signature


def test_nothing_is_printed_between_our_own_lines(
    ready: Scorers, task_files: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = [(get("th"), leaf("toy_writing_th", task_files))]
    capfd.readouterr()
    others.run(ready, "lm_eval:x", found, DRAWS, Limits(2, 512))
    assert capfd.readouterr() == ("", "")


def test_metrics_beside_accuracy_are_lm_evals(task_files: Path) -> None:
    """Made from log-likelihoods that are known, by hand: the Brier score of a sure wrong answer."""
    one = leaf("toy_scores_th", task_files)
    asked = list(leaves.asked(one, limit=2))
    golds = [document.document["label"] for document in asked]
    sure = [[(0.0 if place == gold else -99.0, True) for place in range(3)] for gold in golds]
    wrong = [
        list(reversed(answers)) if gold != 1 else answers
        for gold, answers in zip(golds, sure, strict=True)
    ]
    given: dict[str, Any] = {"base": dict(enumerate(sure)), "one": dict(enumerate(wrong))}
    told = others.beside(one, asked, given, Place("x", "th", "s"), DRAWS)
    assert [(score.model, score.metric) for score in told.scores] == [
        ("base", "brier_score"),
        ("one", "brier_score"),
    ]
    assert told.scores[0].value == pytest.approx(0, abs=1e-9)
    assert told.scores[1].value == pytest.approx(1, abs=1e-9), "one of two, 2 for a sure mistake"
    assert not told.scores[0].higher_is_better


def test_only_metrics_beside_accuracy_are_made_here(task_files: Path) -> None:
    assert not others.has_further(leaf("toy_choice_th", task_files))
    assert others.has_further(leaf("toy_scores_th", task_files))
