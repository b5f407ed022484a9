"""Single items and the spread of answers on the page: right, safe, light, in every direction."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from fabricated import Plan, fabricate, fifty_two

from bactrian.evaluate.report import LanguageLabel, Report, write
from bactrian.evaluate.report.behind import ROOM, costs, room_for, spread
from bactrian.evaluate.report.blocks import Bars, Fold, Items, Table
from bactrian.evaluate.report.evidence import Cost, Evidence, Question
from bactrian.evaluate.report.excerpt import excerpt
from bactrian.evaluate.report.html_evidence import bars, items, number

KHMER = LanguageLabel("km", "Khmer")
ARABIC = LanguageLabel("ar", "Arabic", "rtl")
QUESTION = Question("q-1", "ការសន្ទនា", ("ត្រឹមត្រូវ", "ខុស"), 0, values=(-1.25, 0.5), picked=(1, 0))
ONE = Evidence(
    "xcopa", "km", 500, ("base", "multi"), "multi", (QUESTION,), Cost(500, 9_000, 3_000, 27_000),
    labels=("option 1", "option 2"), key=(250, 250), picked={"base": (500, 0), "multi": (200, 300)},
)  # fmt: skip


class Page(HTMLParser):
    """Elements with their attributes, in order, and headings by level."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 52 languages, 5 tasks and 20 items each."""
    folder = tmp_path_factory.mktemp("large")
    tasks = ("xcopa", "xstorycloze", "sentimentx", "exams", "held-out")
    write(fabricate(Plan(fifty_two(), tasks)), folder, paper=True)
    return folder


def test_an_item_shows_the_right_option_who_chose_what_and_the_margins() -> None:
    source = items(Items(ONE, 20), KHMER)
    assert '<li class="r"><bdi>ត្រឹមត្រូវ</bdi> <i dir="ltr">multi</i></li>' in source
    assert '<li><bdi>ខុស</bdi> <i dir="ltr">base</i></li>' in source
    assert "base −1.25 · multi +0.50 nats" in source
    assert "1 of 500, smallest margins of multi" in source
    assert '<ol class="items" lang="km" dir="ltr">' in source


def test_a_text_without_options_shows_what_it_costs() -> None:
    text = replace(
        ONE, choice=False, labels=(), picked=None,
        worst=(Question("t", "问", ("答案很长",), 0, (3.125, 2.5)),),
    )  # fmt: skip
    source = items(Items(text, 20), LanguageLabel("zh", "Chinese"))
    assert "<p>答案很长</p>" in source
    assert "base 3.12 · multi 2.50 bits per byte" in source
    assert "✓" not in source


def test_right_to_left_items_run_right_to_left_and_what_is_in_them_does_not() -> None:
    mixed = replace(QUESTION, context="ما هو", options=("نعم", "No, it is not"))
    source = items(Items(replace(ONE, language="ar", worst=(mixed,)), 20), ARABIC)
    assert '<ol class="items" lang="ar" dir="rtl">' in source
    assert '<li class="r"><bdi>نعم</bdi>' in source
    assert '<li dir="ltr"><bdi>No, it is not</bdi>' in source
    assert '<small dir="ltr"><bdi>q-1</bdi>' in source


def test_nothing_of_an_item_can_become_markup() -> None:
    bad = "<script>x</script>\"'><img src=x>"
    hostile = replace(
        ONE, models=(bad, bad), focus=bad, labels=(bad, bad), picked={bad: (1, 2)},
        worst=(Question(bad, bad, (bad, bad), 0, (0.0, 0.0), (0, 1)),),
    )  # fmt: skip
    label = LanguageLabel(bad, bad)
    for source in (items(Items(hostile, 5), label), bars(_bars(hostile), label)):
        tags = {tag for tag, _ in Page(source).elements}
        assert not tags & {"script", "img"}
        assert "<script" not in source


def _bars(one: Evidence) -> Bars:
    report = replace(fabricate(Plan(("ar",), items=0)), evidence=(one,))
    return next(block for block in spread(report) if isinstance(block, Bars))


def test_bars_hold_the_right_answers_first_and_say_what_is_constant() -> None:
    block = _bars(replace(ONE, constant={"multi": "option 2"}))
    assert [(share.who, share.counts, share.key) for share in block.shares] == [
        ("right answers", (250, 250), True),
        ("base", (500, 0), False),
        ("multi", (200, 300), False),
    ]
    assert "base gives “option 1” to every item." in block.note
    assert "multi has the F1 of always answering “option 2”." in block.note
    source = bars(block, KHMER)
    assert 'title="option 1: 500 of 500">100</span>' in source
    assert source.count('style="flex-grow:0"') == 0  # nothing of nothing is drawn


def test_what_a_language_costs_is_said_where_tokens_are_known() -> None:
    report = replace(fabricate(Plan(("ar",), items=0)), evidence=(ONE,))
    table = next(block for block in costs(report) if isinstance(block, Table))
    assert [cell.text for cell in table.rows[0]] == ["km", "18.0", "1.0", "3.00", "3.0", "0"]
    unknown = replace(ONE, cost=replace(ONE.cost, tokens=0))
    assert not list(costs(replace(report, evidence=(unknown,))))


def test_the_page_of_52_languages_is_light_and_fast_to_make(large: Path) -> None:
    assert (large / "report.html").stat().st_size < 4_500_000
    assert (large / "report.md").stat().st_size < 1_000_000
    assert (large / "paper.html").stat().st_size < 200_000
    source = (large / "report.html").read_text(encoding="utf-8")
    begun = time.process_time()
    page = Page(source)
    assert time.process_time() - begun < 20
    lists = [attrs for attrs in page.all("ol") if attrs.get("class") == "items"]
    assert len(lists) == 52 * 5
    assert {attrs["dir"] for attrs in lists if attrs["lang"] in ("ar", "fa", "he", "ps", "ur")} == {
        "rtl"
    }
    assert all(attrs["dir"] == "ltr" for attrs in lists if attrs["lang"] in ("th", "km", "zh"))


@pytest.mark.parametrize("name", ["report.html", "paper.html"])
def test_headings_go_down_one_step_at_a_time_and_headers_have_a_scope(
    large: Path, name: str
) -> None:
    page = Page((large / name).read_text(encoding="utf-8"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") for attrs in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.all("table"):
        assert attrs.get("aria-labelledby", ids[0]) in ids


@pytest.mark.parametrize("name", ["report.html", "paper.html"])
def test_pages_carry_no_script_and_fetch_nothing(large: Path, name: str) -> None:
    source = (large / name).read_text(encoding="utf-8")
    page = Page(source)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "form"}
    assert not re.search(r"url\((?!#)|@import", source)
    assert "letter-spacing" not in re.sub(r"h[12] \{[^}]*\}", "", source)


def test_lists_are_shortened_together_until_they_fit() -> None:
    long = replace(QUESTION, context="ក" * 300)
    lists = [replace(ONE, worst=(long,) * 20)] * 10
    assert room_for(lists) == 20
    assert room_for(lists, room=10_000) == 1
    half = room_for(lists, room=100_000)
    assert 1 < half < 20
    assert room_for([replace(ONE, worst=(QUESTION,))], room=1) == 1
    assert ROOM <= 3_000_000


def test_a_shortened_list_says_so() -> None:
    report: Report = fabricate(Plan(("ar", "th"), ("xcopa",)))
    long = tuple(
        replace(one, worst=tuple(replace(q, context="ا" * 400) for q in one.worst) * 200)
        for one in report.evidence
    )
    from bactrian.evaluate.report.behind import single_items

    blocks = list(single_items(replace(report, evidence=long)))
    shown = [one.shown for block in blocks if isinstance(block, Fold) for one in block.blocks
             if isinstance(one, Items)]  # fmt: skip
    assert len(set(shown)) == 1
    assert shown[0] < 4_000
    assert f"{shown[0]} of 4000 are shown" in str(blocks[1])


def test_an_excerpt_tears_no_character_apart_and_counts_the_rest() -> None:
    family = "👨‍👩‍👧‍👦"
    assert excerpt(family * 12, "end", room=10) == family * 10 + " […2 more]"
    assert excerpt("क्षि" * 12, "start", room=10) == "[2 more…] " + "क्षि" * 10
    assert excerpt("ខ្មែរ", "end") == "ខ្មែរ"
    assert excerpt("e\u0301" * 10, "end", room=10) == "e\u0301" * 10


def test_numbers_have_a_true_minus_and_infinity_its_sign() -> None:
    assert [number(value, True) for value in (1.0, -1.0, float("inf"))] == ["+1.00", "−1.00", "∞"]
    assert number(1.0, False) == "1.00"
