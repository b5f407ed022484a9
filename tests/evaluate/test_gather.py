"""A report's content from what the stages left in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate import results
from bactrian.evaluate.gather import gather
from bactrian.evaluate.results import Results
from bactrian.models import base
from bactrian.schema import Difference, Example, Score
from bactrian.table import Row
from bactrian.train.run import train
from bactrian.workspace import Workspace

pytest.importorskip("peft")

SCORES = tuple(
    Score(model, "held-out", "vi", "bits_per_byte", value, value - 0.1, value + 0.1, 3, "n:3")
    for model, value in (("base", 2.0), ("toy", 1.5))
)
DIFFERENCE = Difference(
    "toy", "base", "held-out", "vi", "bits_per_byte", -0.5, -0.6, -0.4, 3, "paired", False
)


@pytest.fixture
def workspace(make_workspace: Callable[..., Workspace]) -> Workspace:
    """A folder that was trained in, with results as an evaluation leaves them."""
    made = make_workspace("vi", "train.max_steps=2", "eval.samples=1")
    loaded = base.load(made.recipe.train.base)
    train(made, "toy", lambda: loaded)
    found = Results(loaded.id, ("base", "toy"), SCORES, (DIFFERENCE,), ("a note",))
    results.write(found, made.results, {})
    answer = [{"model": "base", "text": "x"}, {"model": "toy", "text": "y"}]
    sample = {"id": "1", "language": "vi", "instruction": "a", "input": "", "answers": answer}
    (made.results / "answers.json").write_text(json.dumps([sample]), "utf-8")
    return made


def stages(workspace: Workspace) -> None:
    """What translate, respond and check leave: 10 rows, one never answered, two rejected."""
    rows = [Row(Example(str(number), "vi", "a", "", "b")) for number in range(10)]
    reasons = {"missing": 1, "language": 2}
    for stage, facts in (
        ("translated", {"missing": 0}),
        ("answered", {"missing": 1}),
        ("checked", {"rejected": 3, "reasons": reasons}),
    ):
        table.write(workspace.stage(stage, "vi"), rows, stage, dict(facts))
    for split, count in (("train", 4), ("validation", 3)):
        table.write(workspace.split("vi", split), rows[:count], split)


def test_a_report_says_what_the_folder_holds(workspace: Workspace) -> None:
    stages(workspace)
    report = gather(workspace)
    assert report.title == "bactrian: toy"
    assert report.base == workspace.recipe.train.base
    assert [(label.id, label.name, label.direction) for label in report.languages] == [
        ("vi", "Vietnamese", "ltr")
    ]
    (facts,) = report.data
    assert (facts.sources, facts.translated, facts.answered) == (10, 10, 9)
    assert (facts.kept, facts.rejected, facts.missing) == (7, 2, 1)
    assert (facts.train, facts.validation) == (4, 3)
    assert [(reason.check, reason.rows) for reason in facts.reasons] == [("language", 2)]
    (adapter,) = report.adapters
    assert (adapter.name, adapter.languages, adapter.steps) == ("toy", ("vi",), 2)
    assert adapter.trainable_parameters > 0
    (curve,) = report.curves
    assert (curve.model, curve.language) == ("toy", "vi")
    assert [point.step for point in curve.training] == [1, 2]
    assert report.scores == SCORES
    assert report.differences == (DIFFERENCE,)
    assert report.notes == ("a note",)
    assert [answer.text for answer in report.samples[0].answers] == ["x", "y"]
    assert f"bactrian train {workspace.root}" in [command.command for command in report.commands]
    assert str(workspace.adapter("toy")) in [place.path for place in report.places]


def test_a_dataset_made_elsewhere_has_no_stages_to_tell_of(workspace: Workspace) -> None:
    report = gather(workspace)
    assert report.data == ()
    assert report.scores == SCORES


def test_samples_are_optional(workspace: Workspace) -> None:
    (workspace.results / "answers.json").unlink()
    assert gather(workspace).samples == ()


def test_languages_that_were_measured_only_are_named_too(workspace: Workspace) -> None:
    from dataclasses import replace

    found = results.read(workspace.results / "results.json")
    more = (*found.scores, replace(SCORES[0], language="fa", task="xcopa"))
    results.write(replace(found, scores=more), workspace.results, {})
    labels = {label.id: label.direction for label in gather(workspace).languages}
    assert labels == {"vi": "ltr", "fa": "rtl"}


def test_nothing_measured_yet_names_the_verb(make_workspace: Callable[..., Workspace]) -> None:
    with pytest.raises(DataError, match=r"results\.json does not exist") as caught:
        gather(make_workspace("vi"))
    assert "bactrian eval" in caught.value.hint


def test_only_languages_that_have_rows_are_said_to_be_translated(workspace: Workspace) -> None:
    wider = workspace.recipe.model_copy(update={"languages": "vi,km,ar"})
    told = gather(Workspace(workspace.root, wider, workspace.recipe_folder)).summary
    assert "translated into Vietnamese by" in told
    for language in workspace.languages:
        workspace.split(language.code, "train").unlink()
    assert "translated" not in gather(workspace).summary
