"""The dot chart of a table: round ticks, nothing outside the plot, words where there is none."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bactrian.evaluate.report import Report
from bactrian.evaluate.report.dots import PLOT, STUB, chart_of, scale_of
from bactrian.evaluate.report.grid import Grid, Group, Heading, Line, Number
from bactrian.evaluate.report.paper import paper
from bactrian.evaluate.report.paper.tables import grids

GRID = Grid(
    name="chart", caption="Chart", stub="Model", columns=(Heading("a", "A <b>"), Heading("b", "B")),
    groups=(
        Group("theirs", (Line("x", (Number(50.0), None)), Line("y", (Number(53.1), None)))),
        Group("ours", (Line("z <i>", (Number(51.0, 48.5, 53.5), None)),)),
    ),
    absent="no run",
)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((50.0, 53.1), [50, 51, 52, 53, 54]),
        ((25.2, 36.2), [25, 30, 35, 40]),
        ((0.11, 0.14), [0.11, 0.12, 0.13, 0.14]),
        ((42.0,), [42]),
    ],
)
def test_ticks_are_round_and_hold_every_value(
    values: tuple[float, ...], ticks: list[float]
) -> None:
    scale = scale_of([Number(value) for value in values])
    assert scale.ticks[: len(ticks)] == pytest.approx(ticks, abs=1e-5)
    assert all(STUB - 1e-6 <= scale.at(value) <= STUB + PLOT + 1e-6 for value in values)


def test_a_panel_for_each_column_with_numbers_the_last_group_filled() -> None:
    chart = chart_of(GRID)
    assert chart is not None
    assert [panel.title for panel in chart.panels] == ["A <b>"]
    root = ElementTree.fromstring(chart.panels[0].svg)
    circles = [circle.get("fill") for circle in root.iter("circle")]
    assert circles == ["var(--paper)", "var(--paper)", "var(--series-1)"]
    places = [float(circle.get("cx") or 0) for circle in root.iter("circle")]
    assert places[0] < places[2] < places[1]
    ElementTree.fromstring(chart.file)


def test_a_missing_number_is_a_word_and_an_empty_table_no_chart() -> None:
    none = Group("ours", (Line("z", (None, None)),))
    chart = chart_of(replace(GRID, groups=(GRID.groups[0], none)))
    assert chart is not None
    assert "no run</text>" in chart.panels[0].svg
    assert chart_of(replace(GRID, groups=(none,))) is None


def test_the_paper_s_figure_can_be_drawn_without_a_run() -> None:
    empty = Report(title="t", date="d", summary="", base="b", languages=(), adapters=())
    grid = next(grid for grid in grids(paper(), empty) if grid.name == "paper-figure-3")
    chart = chart_of(grid)
    assert chart is not None
    assert len(chart.panels) == 4
