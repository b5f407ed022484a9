"""Reports of fifty adapters stay light; the files keep every number."""

from __future__ import annotations

import csv
from pathlib import Path

from fabricated import Plan, fabricate, fifty_two

from bactrian.evaluate.report import write
from bactrian.evaluate.report.crowd import OWN, thinned
from bactrian.evaluate.report.paper import paper
from bactrian.evaluate.report.paper.tables import grids

LANGUAGES = fifty_two()
ADAPTERS = (("multi", tuple(LANGUAGES)), *((f"only-{code}", (code,)) for code in LANGUAGES))


def test_few_models_are_all_shown() -> None:
    report = fabricate(Plan(("ar", "th"), items=0))
    assert thinned(report) is report


def test_of_many_adapters_a_page_shows_each_in_its_own_language() -> None:
    report = fabricate(Plan(LANGUAGES, ("xcopa",), adapters=ADAPTERS, items=0))
    page = thinned(report)
    assert {one.model for one in page.scores} == {"base", "multi", OWN}
    values = {(one.model, one.language): one.value for one in report.scores}
    own = {one.language: one.value for one in page.scores if one.model == OWN}
    assert own == {code: values[f"only-{code}", code] for code in LANGUAGES}
    mine = [one for one in page.differences if one.model == "only-th"]
    assert [one.language for one in mine] == ["th", "macro"]
    left = len(report.scores) + len(report.differences) - len(page.scores) - len(page.differences)
    assert f"the other {left:,} numbers" in page.notes[0]


def test_fifty_adapters_make_a_light_page_and_whole_files(tmp_path: Path) -> None:
    report = fabricate(Plan(LANGUAGES, ("xcopa", "exams"), adapters=ADAPTERS, items=20))
    written = write(report, tmp_path, paper=True)
    assert written.html.stat().st_size < 3_500_000
    with (tmp_path / "tables" / "scores-xcopa-acc.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 52 * 54
    assert written.paper is not None
    assert written.paper.stat().st_size < 300_000


def test_the_paper_s_tables_have_the_row_of_each_language_s_own() -> None:
    report = fabricate(Plan(LANGUAGES, ("xcopa",), adapters=ADAPTERS, items=0))
    by_name = {grid.name: grid for grid in grids(paper(), report)}
    lines = {line.label for line in by_name["paper-table-8"].groups[-1].lines}
    assert lines == {"base", "multi", OWN}
    own = next(
        line for line in by_name["paper-table-4"].groups[-1].lines if line.label.startswith("each")
    )
    assert own.numbers[0] is not None
    assert own.numbers[0].small == ""
