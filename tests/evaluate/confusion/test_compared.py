"""Judged answers of two folders: paired by prompt, or refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.comparison import compare_sides
from bactrian.evaluate.confusion.compared import LINES, read_said
from bactrian.evaluate.confusion.judging import Judged
from bactrian.evaluate.confusion.numbers import METRICS
from bactrian.evaluate.gate import judge, parse
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.sides import Side, sides

DRAWS = Draws(200)


def folder(place: Path, right: dict[str, dict[str, list[bool]]], **more: Any) -> Path:
    """Write what an evaluation of answers alone leaves: by language and model, whose lines pass."""
    place.mkdir(parents=True)
    lines = []
    for code, models in right.items():
        for model, marks in models.items():
            for number, good in enumerate(marks):
                judged = Judged(good, good or None, False, False, False, False)
                told = {"model": model, "language": code, "id": str(number), "question": f"q{code}"}
                lines.append(json.dumps({**told, **asdict(judged), "text": "x", **more}) + "\n")
    (place / LINES).write_text("".join(lines), "utf-8")
    (place / "results.json").write_text("{}")
    return place


GOOD, POOR = [True] * 30 + [False] * 10, [True] * 6 + [False] * 34


def one(a: Path, b: Path) -> tuple[Side, Side]:
    (found,) = sides(str(a), str(b))
    return found


def test_two_folders_are_compared_prompt_by_prompt(tmp_path: Path) -> None:
    new = folder(tmp_path / "new", {code: {"base": POOR, "toy": GOOD} for code in ("km", "ar")})
    old = folder(tmp_path / "old", {code: {"base": POOR, "toy": POOR} for code in ("km", "th")})
    found = compare_sides(*one(new, old), DRAWS)
    lines = [each for each in found.differences if each.metric == "line_language"]
    assert [(each.language, each.value, each.n) for each in lines] == [("km", 24 / 40, 40)]
    assert lines[0].better
    assert lines[0].model == f"{new}:toy"
    assert {each.metric for each in found.differences} <= METRICS.keys()
    assert len({each.metric for each in found.differences}) == len(METRICS)
    assert found.notes == (
        f"confusion ar: only {new}:toy has it; it is not compared",
        f"confusion th: only {old}:toy has it; it is not compared",
    )
    verdict = judge(parse("confusion:km >= -1"), found.differences)
    assert verdict.outcome == "holds"
    assert judge(parse("confusion[refusal_rate]:km <= 1"), found.differences).outcome == "holds"


def test_languages_have_an_average_and_a_metric_may_be_chosen(tmp_path: Path) -> None:
    both = {code: {"base": POOR, "toy": GOOD} for code in ("km", "ar")}
    here = folder(tmp_path / "here", both)
    (pair,) = sides("toy", "base", here)
    found = compare_sides(*pair, DRAWS, metric="line_language").differences
    assert [each.language for each in found] == ["km", "ar", "macro"]
    assert [each.metric for each in found] == ["line_language"] * 3
    assert found[0].adjusted == pytest.approx(2 * (found[0].p or 0), abs=1e-9)
    with pytest.raises(DataError, match="measured by f1_macro"):
        compare_sides(*pair, DRAWS, metric="f1_macro")


def test_other_prompts_under_the_same_id_are_refused(tmp_path: Path) -> None:
    new = folder(tmp_path / "new", {"km": {"toy": GOOD}})
    other = folder(tmp_path / "other", {"km": {"toy": GOOD}}, question="of another style")
    with pytest.raises(DataError, match="confusion km: prompt 0 is not the same for"):
        compare_sides(*one(new, other), DRAWS)
    fewer = folder(tmp_path / "fewer", {"km": {"toy": GOOD[:20]}})
    with pytest.raises(DataError, match="20 prompts were answered by only one of"):
        compare_sides(*one(new, fewer), DRAWS)


def test_answers_of_an_earlier_version_are_refused_with_the_way_out(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", {"km": {"toy": GOOD}})
    lines = (old / LINES).read_text("utf-8").replace('"question": "qkm", ', "")
    (old / LINES).write_text(lines, "utf-8")
    with pytest.raises(
        DataError, match="line 1: no question, it was written by an earlier"
    ) as caught:
        read_said(old)
    assert "no answer is written twice" in caught.value.hint
    assert read_said(tmp_path) == {}
    (old / LINES).write_text(lines[:40], "utf-8")
    with pytest.raises(DataError, match="line 1: this is no judged answer"):
        read_said(old)
