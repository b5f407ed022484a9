"""The training bench: its lines, its sample of batches, its floor. Nothing is timed."""

from __future__ import annotations

import importlib
import statistics
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a loader of the bench's modules, which are no part of the package."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.training.{name}")


@pytest.mark.parametrize(
    ("limit", "at_most", "short", "line"),
    [
        (None, True, False, "speed 1.25 - ok"),
        (1.0, False, False, "speed 1.25 >=1 ok"),
        (1.5, False, True, "speed 1.25 >=1.5 short"),
        (0.5, True, True, "speed 1.25 <=0.5 short"),
    ],
)
def test_a_figure_says_whether_it_is_short_and_is_read_again(
    bench: Any, limit: float | None, at_most: bool, short: bool, line: str
) -> None:
    report = bench("report")
    figure = report.Figure("speed", 1.25, limit, at_most)
    assert figure.short is short
    assert figure.line() == line
    assert report.read(line).line() == line


def test_what_is_no_number_reaches_no_limit(bench: Any) -> None:
    report = bench("report")
    assert report.Figure("difference", float("nan"), 1e-5).short
    assert report.Figure("speed", float("nan"), 1.5, at_most=False).short


@pytest.mark.parametrize("line", ["", "# speed 1 - ok", "RESULT {}", "speed fast - ok", "a b ok"])
def test_other_lines_are_no_figures(bench: Any, line: str) -> None:
    assert bench("report").read(line) is None


def test_figures_of_the_day_that_were_not_measured_again_stay(bench: Any, tmp_path: Path) -> None:
    import json

    report = bench("report")
    report.write(tmp_path, [report.Figure("one", 1.0), report.Figure("two", 2.0)], [{"steps": 1}])
    path = report.write(tmp_path, [report.Figure("two", 3.0)], [{"steps": 2}])
    told = json.loads(path.read_text(encoding="utf-8"))
    assert {name: found["value"] for name, found in told["figures"].items()} == {"one": 1, "two": 3}
    assert [cell["steps"] for cell in told["cells"]] == [1, 2]


def test_a_cell_is_heard_among_other_lines(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    meter = bench("meter")
    meter.told({"useful": 3})
    assert meter.heard("loading\n" + capsys.readouterr().out + "bye\n") == {"useful": 3}
    assert meter.heard("Traceback") is None


def test_the_sample_of_batches_begins_with_the_costliest_and_stands_for_all(bench: Any) -> None:
    pytest.importorskip("numpy")
    costs = [place**2 for place in range(375)][::-1]
    chosen = bench("shapes").stratified(costs, 25, warm=3)
    assert len(chosen) == 28
    assert chosen[0] == 0
    timed = [costs[batch] for batch in chosen[3:]]
    assert len(set(timed)) == 25
    assert statistics.mean(timed) == pytest.approx(statistics.mean(costs), rel=0.01)
    assert timed != sorted(timed)


def test_rows_have_the_lengths_of_the_paper(bench: Any) -> None:
    pytest.importorskip("numpy")
    rows = bench("shapes").rows(32_000)
    assert statistics.mean(row.prompt for row in rows) == pytest.approx(45, rel=0.05)
    assert statistics.mean(row.response for row in rows) == pytest.approx(130, rel=0.05)
    assert max(len(row.ids) for row in rows) == 768
    assert all(row.ids[-1] == 2 and row.ids.max() < 32_000 for row in rows)


def test_the_floor_counts_the_products_of_a_block(bench: Any) -> None:
    pytest.importorskip("numpy")
    shapes, floor = bench("shapes"), bench("floor")
    rows = [shapes.Row(range(10), 4), shapes.Row(range(30), 20)]
    work = floor.work(shapes.SHAPES["llama"], rows, 16)
    assert work.body == 4 * 6 * (4 * 256 * 256 + 3 * 256 * 688)
    assert work.lora == 6 * 6 * 4 * 16 * 512
    assert work.attention == 7 * (100 + 900) / 40 * 256 * 6
    assert work.head == 4 * 256 * 32_000 * 16 / 40
    assert floor.seconds(work, 1e9, 2e9) == pytest.approx(
        (work.body + work.lora + work.attention) / 1e9 + work.head / 2e9
    )


def test_a_figure_is_the_median_of_the_rounds_ratios(bench: Any) -> None:
    def cell(rate: float, memory: float) -> dict[str, float]:
        rates = {f"{kind}_{per}": rate for kind in ("useful", "response") for per in PER}
        return {**rates, "memory_mb": memory}

    rounds = [
        {"ours": cell(40, 10), "unsloth": cell(10, 100), "floor": {"useful_per_s": 50}},
        {"ours": cell(30, 20), "unsloth": cell(10, 100), "floor": {"useful_per_s": 60}},
        {"ours": cell(10, 50), "unsloth": cell(10, 100), "floor": {"useful_per_s": 50}},
        {"unsloth": cell(10, 100)},
    ]
    found = {figure.name: figure for figure in bench("run").compared("llama", 1, rounds)}
    assert found["llama_useful_over_unsloth"].value == 3
    assert not found["llama_useful_over_unsloth"].short
    assert found["llama_memory_over_unsloth"].value == 0.2
    assert found["llama_share_of_floor"].value == 0.5
    assert found["llama_share_of_floor"].short
    assert "llama_useful_over_hf-group" not in found
    two = {figure.name: figure for figure in bench("run").compared("llama", 2, rounds)}
    assert two["llama_2_threads_share_of_floor"].limit is None
    small = [{"ours": cell(40, 50), "ours-small": cell(20, 10), "unsloth": cell(10, 100)}]
    found = {figure.name: figure for figure in bench("run").compared("bloom", 1, small)}
    assert found["bloom_memory_over_unsloth"].limit is None
    assert found["bloom_small_useful_over_unsloth"].value == 2
    assert found["bloom_small_useful_over_unsloth"].short
    assert found["bloom_small_memory_over_unsloth"].value == 0.1
    assert not found["bloom_small_memory_over_unsloth"].short


PER = ("per_s", "per_cpu_s")


def test_a_share_of_peak_counts_useful_tokens_only(bench: Any) -> None:
    floor = {"mflop_per_token": {"body": 100.0, "head": 100.0}, "square_gflops": 1000.0}
    assert bench("cuda").share({"useful_per_s": 1000.0}, floor) == pytest.approx(0.2)
