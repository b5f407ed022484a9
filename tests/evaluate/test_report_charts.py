"""The charts: themes, shapes, thinning, and what would make them unreadable."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from bactrian.evaluate.report import Curve, LanguageLabel, Point, Report
from bactrian.evaluate.report.charts import (
    POINTS,
    Chart,
    difference_chart,
    loss_chart,
)
from bactrian.evaluate.report.svg import DARK, LIGHT
from bactrian.schema import Difference

FALLING = tuple(Point(step, 3 - step / 100) for step in range(0, 101, 10))
CLEAR = Difference("multi", "base", "xcopa", "zh", "acc", 0.1, 0.05, 0.15, 200, "paired bootstrap")
NOISE = replace(CLEAR, language="vi", low=-0.02)


def report(curves: tuple[Curve, ...] = (), differences: tuple[Difference, ...] = ()) -> Report:
    return Report(
        title="", date="", summary="", base="", adapters=(), curves=curves,
        differences=differences,
        languages=(LanguageLabel("zh", "Chinese"), LanguageLabel("vi", "Vietnamese")),
    )  # fmt: skip


def loss(*curves: Curve) -> Chart:
    chart = loss_chart(report(curves))
    assert chart is not None
    return chart


def differences(*given: Difference) -> Chart:
    chart = difference_chart(report((), given))
    assert chart is not None
    return chart


def test_a_panel_takes_its_colours_from_the_page() -> None:
    chart = loss(Curve("zh", "zh", FALLING, FALLING[::5]), Curve("multi", "zh", FALLING))
    [panel] = chart.panels
    ElementTree.fromstring(panel.svg)
    assert panel.title == "Chinese"
    assert not re.search(r"#[0-9a-f]{6}\b|<style|DejaVu|id=\"(figure|axes)", panel.svg)
    for colour in ("var(--muted)", "var(--line)", "var(--series-1)", "var(--series-2)"):
        assert colour in panel.svg
    assert re.search(r"<text [^>]*font[^>]*system-ui[^>]*>optimiser step</text>", panel.svg)
    assert 'role="img" aria-label="Chinese"' in panel.svg
    assert "currentColor" in differences(CLEAR).panels[0].svg


def test_a_file_carries_both_themes_and_its_titles() -> None:
    chart = loss(Curve("multi", "zh", FALLING), Curve("multi", "vi", FALLING))
    ElementTree.fromstring(chart.file)
    assert "prefers-color-scheme:dark" in chart.file
    for word in ("Chinese", "Vietnamese", "multi"):
        assert f">{word}</text>" in chart.file


def test_a_loss_over_all_languages_has_its_own_panel() -> None:
    titles = [panel.title for panel in loss(Curve("multi", "", FALLING)).panels]
    assert titles == ["All languages together"]


def test_without_points_there_is_no_chart() -> None:
    assert loss_chart(report((Curve("zh", "zh"),))) is None
    assert difference_chart(report()) is None


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_colour_of_text_stands_out_from_the_paper(theme: str) -> None:
    colours = dict(rule.split(":") for rule in theme.split(";"))
    paper = _luminance(colours.pop("--paper"))
    del colours["--line"]
    assert len(colours) == 8
    for name, colour in colours.items():
        bright, dim = max(_luminance(colour), paper), min(_luminance(colour), paper)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, name


def test_noise_and_clear_differ_in_shape_not_only_in_colour() -> None:
    [panel] = differences(CLEAR, NOISE, replace(NOISE, language="km")).panels
    marks = re.findall(r"<use [^>]*fill: (var\(--[a-z0-9-]+\))", panel.svg)
    assert sorted(mark for mark in marks if "muted" not in mark and "line" not in mark) == [
        "var(--paper)",
        "var(--paper)",
        "var(--series-1)",
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_names_that_lie_together_are_written_apart_and_inside_the_panel(sign: int) -> None:
    points = tuple(Point(point.step, sign * point.loss) for point in FALLING)
    [panel] = loss(*(Curve(name, "zh", points) for name in ("one", "two", "three"))).panels
    found = re.findall(r'y="([\d.]+)"[^>]*>(?:one|two|three)<', panel.svg)
    heights = sorted(map(float, found))
    assert len(heights) == 3
    assert min(low - high for high, low in pairwise(heights)) > 12
    assert heights[0] > 0
    assert heights[-1] < 190


def test_a_long_curve_is_averaged_not_sampled() -> None:
    points = tuple(Point(step, float(step % 2)) for step in range(40 * POINTS))
    [panel] = loss(Curve("zh", "zh", points), Curve("multi", "zh", FALLING)).panels
    [thin] = re.findall(r'd="([^"]*)"[^>]*stroke-opacity: 0.5[^>]*stroke-width: 0.9', panel.svg)[:1]
    heights = {line.split()[-1] for line in thin.strip().splitlines()}
    assert len(heights) == 1  # every run averages to one half: sampling would show 0 or 1
    assert len(panel.svg) < 40_000


def test_letters_that_no_font_of_ours_has_are_left_to_the_reader() -> None:
    named = replace(
        report((Curve("驼", "zh", FALLING),)),
        languages=(LanguageLabel("zh", "中文"),),
    )
    chart = loss_chart(named)  # a warning would be an error here
    assert chart is not None
    assert ">中文</text>" in chart.file
    assert ">驼</text>" in chart.file


def test_long_names_leave_room_for_the_chart() -> None:
    long = "bactrian-instruct-multilingual-52-languages-rank-64"
    chart = differences(replace(CLEAR, model=long, against=long.upper(), task=long * 3))
    assert ">bactrian-instruct-m… − BACTRIAN-INSTRUCT-M…</text>" in chart.panels[0].svg
    assert chart.panels[0].title.startswith(long * 3)
    assert loss(Curve(long, "zh", FALLING)).panels


def test_what_is_not_a_number_is_not_drawn() -> None:
    broken = Curve("multi", "vi", (Point(1, 2.0), Point(2, math.nan)), (Point(2, math.inf),))
    chart = loss(
        broken, Curve("zh", "zh", (Point(1, 2.0),)), Curve("zh", "vi", (Point(1, math.nan),))
    )
    assert [panel.title for panel in chart.panels] == ["Vietnamese", "Chinese"]
    assert "nan" not in chart.file.lower()
    unknown = differences(replace(CLEAR, low=-math.inf, high=math.inf), NOISE)
    assert "stroke-dasharray" in unknown.file
    assert not re.search(r"\binf\b|nan", unknown.file)


def test_fifty_two_languages_fit() -> None:
    codes = [f"l{number}" for number in range(52)]
    chart = differences(*(replace(CLEAR, language=code) for code in codes))
    tall = re.search(r'viewBox="0 0 340 (\d+)', chart.panels[0].svg)
    assert tall is not None
    assert int(tall[1]) > 52 * 20
    assert len(re.findall(r">l\d+</text>", chart.panels[0].svg)) == 52
