"""How to read a report: what is explained is what the report says."""

from __future__ import annotations

from dataclasses import replace

from fabricated import Plan, fabricate

from bactrian.evaluate.report import Report
from bactrian.evaluate.report.blocks import Points
from bactrian.evaluate.report.reading import BY_CHANCE, HOLM, reading


def explained(report: Report) -> dict[str, str]:
    [points] = reading(report)
    assert isinstance(points, Points)
    return dict(points.points)


def test_only_what_a_report_says_is_explained() -> None:
    said = explained(fabricate(Plan(("ar",), ("xcopa",), items=0)))
    assert {"Interval", "Paired", "Accuracy"} <= set(said)
    assert not {"F1", "Bits per byte", "Shows from"} & set(said)
    assert said["Many comparisons"] == BY_CHANCE
    assert "F1" in explained(fabricate(Plan(("ar",), ("sentimentx",), items=0)))


def test_adjusted_and_detectable_differences_are_explained() -> None:
    report = fabricate(Plan(("ar",), ("xcopa",), items=0))
    one = replace(report.differences[0], p=0.01, adjusted=0.02, detectable=0.03)
    said = explained(replace(report, differences=(one,)))
    assert said["Many comparisons"] == HOLM
    assert "Shows from" in said


def test_without_numbers_there_is_nothing_to_read() -> None:
    empty = Report(title="", date="", summary="", base="b", languages=(), adapters=())
    assert not list(reading(empty))
