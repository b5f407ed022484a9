"""The evaluation bench: its questions, its figures, its floor. Nothing is timed."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a loader of the bench's modules, which are no part of the package."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.evaluation.{name}")


def cell(cpu: float, memory: float, nats: list[float], tokens: int = 100) -> dict[str, Any]:
    return {
        "cpu_s": cpu,
        "memory_mb": memory,
        "nats": [nats],
        "greedy": [[value > -2 for value in nats]],
        "questions": 2,
        "tokens": tokens,
    }


def test_figures_are_medians_of_the_rounds_ratios(bench: Any) -> None:
    nats = [-1.0, -5.0, -7.0, -3.0]
    near = [value - 2e-5 for value in nats]
    rounds = [
        (cell(50, 900, nats, 300), cell(10, 100, near)),
        (cell(90, 900, nats, 300), cell(10, 150, near)),
        (cell(60, 900, nats, 300), cell(20, 900, near)),
    ]
    found = {figure.name: figure for figure in bench("run").compared("xcopa", rounds)}
    assert found["xcopa_over_lm_eval"].value == 5
    assert not found["xcopa_over_lm_eval"].short
    assert found["xcopa_memory_over_lm_eval"].value == pytest.approx(1 / 6)
    assert found["xcopa_difference"].value == pytest.approx(2e-5)
    assert found["xcopa_answers_changed"].value == 0
    assert found["xcopa_greedy_changed"].value == 0
    assert found["xcopa_tokens_over_lm_eval"].value == 3
    assert not any(figure.short for figure in found.values())


def test_an_answer_that_changed_is_short(bench: Any) -> None:
    rounds = [(cell(50, 900, [-1, -5, -7, -3]), cell(20, 800, [-6, -5, -1, -3]))]
    found = {figure.name: figure for figure in bench("run").compared("bloom", rounds)}
    assert found["bloom_answers_changed"].value == 2
    assert found["bloom_greedy_changed"].value == 2
    for name in ("over_lm_eval", "memory_over_lm_eval", "difference", "answers_changed"):
        assert found[f"bloom_{name}"].short, name


def test_figures_of_the_day_that_were_not_measured_again_stay(bench: Any, tmp_path: Path) -> None:
    run = bench("run")
    run.write(
        tmp_path, [run.Figure("one", 1.0), run.Figure("two", 2.0)], [{"suite": "a"}], "evaluation"
    )
    path = run.write(tmp_path, [run.Figure("two", 3.0)], [{"suite": "b"}], "evaluation")
    told = json.loads(path.read_text(encoding="utf-8"))
    assert {name: found["value"] for name, found in told["figures"].items()} == {"one": 1, "two": 3}
    assert [one["suite"] for one in told["cells"]] == ["a", "b"]


def test_the_floor_counts_the_products(bench: Any) -> None:
    floor = bench("floor")
    a_token = 2 * 8 * (4 * 512 * 512 + 3 * 512 * 1344)
    assert floor.work(10, 3) == 10 * a_token + 3 * 2 * 512 * 32_000


@needs_data
@pytest.mark.parametrize("kind", ["stem", "full", "letter"])
def test_exams_has_four_options_in_every_language(bench: Any, kind: str) -> None:
    questions = bench("suites").chosen(f"exams_{kind}", 1)
    assert len(questions) == 12
    for question in questions:
        assert len({context for context, _ in question}) == 1
        assert len(question) == 4
        assert all(after.startswith(" ") and after.strip() for _, after in question)
    assert questions == bench("suites").chosen(f"exams_{kind}", 1)


@needs_data
def test_a_winograd_pair_ends_alike(bench: Any) -> None:
    questions = bench("suites").chosen("xwinograd", 2)
    assert len(questions) >= 10
    for question in questions:
        (one, after), (other, same) = question
        assert one != other
        assert after == same
