"""Which models a comparison means, and what it refuses to pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.answered import Answered, Question
from bactrian.evaluate.comparison import Comparison, compare_sides
from bactrian.evaluate.items import NAME, write_items
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.sides import Side, results_folder, sides

DRAWS = Draws(200)


def task(
    name: str, language: str, right: Mapping[str, Sequence[bool]], group: str = ""
) -> Answered:
    """Return two-option questions that each model got right as told."""
    count = len(next(iter(right.values())))
    questions = tuple(
        Question(str(n), f"{language}{n}", 0, group if n % 2 else "", str(n), (2, 5), (2, 3))
        for n in range(count)
    )
    nats = {
        model: tuple((-1.0, -2.0) if good else (-2.0, -1.0) for good in marks)
        for model, marks in right.items()
    }
    return Answered(name, language, "acc", f"lang:{language}", questions, nats)


def folder(place: Path, *found: Answered) -> Path:
    place.mkdir(parents=True)
    write_items(place / NAME, found)
    return place


GOOD, POOR = [True] * 30 + [False] * 10, [True] * 12 + [False] * 28


def names(pairs: list[tuple[Side, Side]]) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in pairs]


def test_two_models_of_one_folder(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", task("xcopa", "et", {"base": POOR, "toy": GOOD}))
    expected = [("toy", "base")]
    assert names(sides("toy", "base", here)) == expected
    assert names(sides(f"{here}:toy", f"{here}:base")) == expected
    assert names(sides(f"{here}:toy", "base")) == expected
    assert names(sides("toy", f"{here}:base")) == expected
    assert names(sides("toy", "base", here / NAME)) == expected


def test_a_folder_beside_one_of_its_models_means_all_other_adapters(tmp_path: Path) -> None:
    right = {"base": POOR, "th": GOOD, "zh": GOOD}
    here = folder(tmp_path / "here", task("xcopa", "et", right))
    assert names(sides(str(here), "base")) == [("th", "base"), ("zh", "base")]
    assert names(sides(f"{here}:th", str(here))) == [("th", "zh")]


def test_two_folders_pair_what_both_have(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", task("xcopa", "et", {"base": POOR, "th": GOOD, "zh": GOOD}))
    two = folder(tmp_path / "two", task("xcopa", "et", {"base": POOR, "zh": GOOD, "th": POOR}))
    assert names(sides(str(one), str(two))) == [
        (f"{one}:th", f"{two}:th"), (f"{one}:zh", f"{two}:zh"),
    ]  # fmt: skip
    assert names(sides(f"{one}:th", str(two))) == [(f"{one}:th", f"{two}:th")]
    old = folder(tmp_path / "old", task("xcopa", "et", {"base": POOR, "multi-1": GOOD}))
    new = folder(tmp_path / "new", task("xcopa", "et", {"base": POOR, "multi-2": GOOD}))
    assert names(sides(str(new), str(old))) == [(f"{new}:multi-2", f"{old}:multi-1")]
    bare = [folder(tmp_path / code, task("xcopa", "et", {"base": GOOD})) for code in "ab"]
    assert names(sides(str(bare[0]), str(bare[1]))) == [(f"{bare[0]}:base", f"{bare[1]}:base")]


def test_a_folder_that_is_worked_in_has_its_results_below(tmp_path: Path) -> None:
    made = folder(tmp_path / "work" / "results" / "toy", task("xcopa", "et", {"base": GOOD}))
    (made / "results.json").write_text("{}")
    assert results_folder(tmp_path / "work") == made
    (tmp_path / "work" / "recipe.toml").write_text('name = "toy"\nlanguages = "et"\n')
    assert results_folder(tmp_path / "work") == made
    assert results_folder(made / "results.json") == made
    assert results_folder(tmp_path) is None


@pytest.mark.parametrize(
    ("a", "b", "problem", "hint"),
    [
        ("toy", "basr", "has no model basr", "did you mean base?"),
        ("{one}:ty", "{one}:base", "has no model ty", "did you mean toy?"),
        ("toy", "toy", "compared with itself", "its folder has base, toy"),
        ("{one}", "{one}", "are one folder", "name two of its models: base, toy"),
        ("{one}", "{two}", "share no adapter", "name one of each"),
        ("{one}:toy", "{two}", "has no model toy", "known are"),
    ],
)
def test_models_that_are_not_there_are_refused(
    tmp_path: Path, a: str, b: str, problem: str, hint: str
) -> None:
    one = folder(tmp_path / "one", task("xcopa", "et", {"base": POOR, "toy": GOOD}))
    two = folder(tmp_path / "two", task("xcopa", "et", {"x": POOR, "y": GOOD}))
    first, second = (word.format(one=one, two=two) for word in (a, b))
    with pytest.raises(ConfigError, match=problem) as caught:
        sides(first, second, None if "{" in a else one)
    assert hint in caught.value.hint


def test_places_without_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is no folder with results"):
        sides("nowhere", "elsewhere")
    with pytest.raises(ConfigError, match="holds no results"):
        sides("a", "b", tmp_path)
    old = tmp_path / "old"
    old.mkdir()
    (old / "results.json").write_text("{}")  # written before answers were kept
    with pytest.raises(DataError, match=r"items\.parquet does not exist") as caught:
        sides("a", "b", old)
    assert "nothing is scored twice" in caught.value.hint


def compared(ours: list[Answered], theirs: list[Answered], **more: object) -> Comparison:
    one, other = (
        Side(name, "toy", {(part.task, part.language): part for part in parts})
        for name, parts in (("new", ours), ("old", theirs))
    )
    return compare_sides(one, other, DRAWS, **more)  # type: ignore[arg-type]


def test_everything_that_both_have_is_compared() -> None:
    ours = [task("xcopa", code, {"toy": GOOD}, "social") for code in ("et", "th")]
    theirs = [task("xcopa", code, {"toy": POOR}, "social") for code in ("et", "th")]
    found = compared(ours, theirs)
    assert [(one.language, one.group) for one in found.differences] == [
        ("et", ""), ("th", ""), ("macro", ""), ("micro", ""), ("macro", "social"),
    ]  # fmt: skip
    et = found.differences[0]
    assert (et.model, et.against, et.value) == ("new", "old", 18 / 40)
    assert (et.model_value, et.against_value) == (0.75, 0.3)
    assert et.p is not None
    assert et.adjusted == pytest.approx(2 * et.p)
    assert found.notes == ()


def test_what_only_one_has_is_told() -> None:
    ours = [task("xcopa", code, {"toy": GOOD}) for code in ("et", "th")]
    theirs = [task("xcopa", "et", {"toy": POOR}), task("exams", "et", {"toy": POOR})]
    found = compared(ours, theirs)
    assert [one.language for one in found.differences] == ["et"]
    assert found.notes == (
        "xcopa th: only new has it; it is not compared",
        "exams et: only old has it; it is not compared",
    )
    with pytest.raises(ConfigError, match="no results of xcopq") as caught:
        compared(ours, theirs, tasks=("xcopq",))
    assert caught.value.hint == "did you mean xcopa?"
    with pytest.raises(DataError, match="share no task in any language"):
        compared(ours, theirs, tasks=("exams",))


def test_other_questions_under_the_same_id_are_refused_by_name() -> None:
    ours, theirs = task("xcopa", "et", {"toy": GOOD}), task("xcopa", "et", {"toy": POOR})
    changed = replace(theirs.questions[7], hash="another prompt")
    theirs = replace(theirs, questions=(*theirs.questions[:7], changed, *theirs.questions[8:]))
    with pytest.raises(DataError, match="xcopa et: question 7 is not the same for new and old"):
        compared([ours], [theirs])
    fewer = task("xcopa", "et", {"toy": POOR[:20]})
    with pytest.raises(DataError, match="20 items were scored for only one of new and old"):
        compared([ours], [fewer])


def test_another_metric_may_be_asked_for() -> None:
    ours, theirs = [task("xcopa", "et", {"toy": GOOD})], [task("xcopa", "et", {"toy": POOR})]
    (found,) = compared(ours, theirs, metric="acc_norm").differences
    assert found.metric == "acc_norm"
    assert found.value == 0  # by characters the longer option always wins
    with pytest.raises(DataError, match="no task that both have is measured by f1_macro"):
        compared(ours, theirs, metric="f1_macro")
