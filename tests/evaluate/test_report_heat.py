"""The heat map: what is in the noise, what a cell says without colour, how many there can be."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from fabricated import Plan, fabricate, fifty_two

from bactrian.evaluate.report import Report
from bactrian.evaluate.report.charts import Chart
from bactrian.evaluate.report.heat import FULL, PANELS, heat_map, left_out, maps_of
from bactrian.evaluate.report.svg import DARK, LIGHT
from bactrian.schema import Difference

SVG = "{http://www.w3.org/2000/svg}"


def of(*differences: Difference) -> Report:
    return replace(fabricate(Plan(("ar", "th"), ("xcopa",), items=0)), differences=differences)


def drawn(report: Report) -> Chart:
    chart = heat_map(report)
    assert chart is not None
    return chart


def difference(language: str, value: float, reach: float, task: str = "xcopa") -> Difference:
    return Difference(
        "multi", "base", task, language, "bits_per_byte" if task == "held-out" else "acc",
        value, value - reach, value + reach, 500, "paired", higher_is_better=task != "held-out",
    )  # fmt: skip


def cells(chart: Chart, panel: int = 0) -> dict[str, str]:
    """What each cell says, and its fill, by what it is about."""
    root = ElementTree.fromstring(chart.panels[panel].svg)
    found = {}
    for group in root.iter("g"):
        title, box, text = group.find("title"), group.find("rect"), group.find("text")
        assert title is not None
        assert box is not None
        assert text is not None
        found[str(title.text)] = f"{box.get('fill')} {text.text}"
    return found


def test_what_lies_inside_the_noise_is_hatched_and_keeps_its_number() -> None:
    found = cells(drawn(of(difference("ar", 0.031, 0.01), difference("th", 0.012, 0.03))))
    assert found == {
        "Arabic, XCOPA: +3.1 (+2.1\xa0to\xa0+4.1), 500 items, better": "var(--series-1) ▲+3.1",
        "Thai, XCOPA: +1.2 (−1.8\xa0to\xa0+4.2), 500 items, inside the noise":
            "url(#hatch-0) +1.2",
    }  # fmt: skip


def test_fewer_bits_are_better() -> None:
    found = cells(drawn(of(difference("ar", -0.2, 0.1, "held-out"))))
    assert list(found.values()) == ["var(--series-1) ▲−0.200"]
    worse = cells(drawn(of(difference("ar", -0.05, 0.01))))
    assert list(worse.values()) == ["var(--series-2) ▼−5.0"]


def test_a_language_without_a_task_has_a_dash() -> None:
    report = of(difference("ar", 0.1, 0.01), difference("th", 0.1, 0.01, "exams"))
    assert drawn(report).panels[0].svg.count(">–</text>") == 2


def test_an_average_is_the_last_row() -> None:
    one = maps_of(of(difference("macro", 0.1, 0.01), difference("ar", 0.1, 0.01)))[0]
    assert one.languages == ("ar", "macro")
    both = maps_of(of(difference("ar", 0.1, 0.01), replace(difference("ar", 9, 1), group="x")))
    assert [cell.value for cell in both[0].cells.values()] == [0.1]  # parts have no cell


@pytest.mark.parametrize("count", [2, 52])
def test_two_and_fifty_two_languages_have_a_row_each(count: int) -> None:
    languages = fifty_two()[:count]
    chart = drawn(fabricate(Plan(languages, ("xcopa", "exams", "held-out"), items=0)))
    assert len(cells(chart)) == (count + 1) * 3
    ElementTree.fromstring(chart.file)
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', chart.panels[0].svg)
    assert box is not None
    assert int(box[1]) == chart.panels[0].width < 400  # as wide as a phone, whatever the rows
    assert int(box[2]) == 32 + 22 * (count + 1)


def test_ids_of_panels_and_of_the_file_are_apart() -> None:
    adapters = [("multi", ("ar", "th")), ("th", ("th",))]
    chart = drawn(fabricate(Plan(("ar", "th"), ("xcopa",), adapters=adapters, items=0)))
    ids = [found for panel in chart.panels for found in re.findall(r'id="([^"]+)"', panel.svg)]
    assert len(ids) == len(set(ids)) == 2
    for panel in chart.panels:
        assert set(re.findall(r"url\(#([^)]+)\)", panel.svg)) <= set(ids)


def test_many_adapters_become_each_language_s_own() -> None:
    languages = fifty_two()[: PANELS + 2]
    adapters = [(f"only-{code}", (code,)) for code in languages] + [("multi", languages)]
    report = fabricate(Plan(languages, ("xcopa",), adapters=adapters, items=0))
    own, several = maps_of(report)
    assert own.title == "each language's own adapter − base"
    assert {(code, one.model) for (code, _), one in own.cells.items()} == {
        (code, f"only-{code}") for code in languages
    }
    assert several.title == "multi − base"
    assert left_out(report) == len(languages)


def test_few_adapters_leave_nothing_out() -> None:
    assert left_out(fabricate(Plan(("ar", "th"), items=0))) == 0


def test_without_differences_there_is_no_map() -> None:
    assert heat_map(of()) is None


def luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["--series-1", "--series-2"])
def test_numbers_stand_out_from_the_strongest_colour(theme: str, name: str) -> None:
    told = dict(part.split(":") for part in theme.split(";"))
    ink, paper, colour = (
        tuple(int(told[key][at : at + 2], 16) / 255 for at in (1, 3, 5))
        for key in ("color", "--paper", name)
    )
    behind = tuple(FULL * c + (1 - FULL) * p for c, p in zip(colour, paper, strict=True))
    light, dark = sorted((luminance(ink), luminance(behind)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_names_cannot_become_markup_and_long_ones_are_cut_between_characters() -> None:
    report = of(replace(difference("ar", 0.1, 0.01), task='<b>&"x', model="<i>"))
    svg = drawn(report).panels[0].svg
    assert "<b>" not in svg
    assert "<i>" not in svg
    ElementTree.fromstring(svg)
    long = of(replace(difference("ar", 0.1, 0.01), task="क्षि" * 20))
    shown = ElementTree.fromstring(drawn(long).panels[0].svg).find(".//tspan")
    assert shown is not None
    assert shown.text == "क्षि" * 10 + "…"
