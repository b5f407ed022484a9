"""The report is safe and whole: nothing shown becomes markup, and a failure costs nothing."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bactrian.errors import MissingExtra
from bactrian.evaluate.report import (
    AdapterFacts,
    Answer,
    Command,
    Curve,
    DataFacts,
    LanguageLabel,
    Place,
    Point,
    Reason,
    Report,
    Sample,
    write,
)
from bactrian.evaluate.report.evidence import Cost, Evidence, Question
from bactrian.evaluate.report.markdown_text import code, literal
from bactrian.evaluate.report.reading_direction import direction
from bactrian.schema import Difference, Score

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> | `a` *b* [c](http://d) @e"


def nasty() -> Report:
    """Return a report in which every text tries to get out of its place."""
    score = Score(NASTY, NASTY, "zh", NASTY, 0.5, 0.4, 0.6, 9, NASTY)
    difference = Difference(
        NASTY, f"other {NASTY}", NASTY, "zh", NASTY, 0.1, 0.05, 0.2, 9, f"a; {NASTY}"
    )
    return Report(
        title=NASTY, date=NASTY, summary=NASTY, base=NASTY, notes=(NASTY,),
        languages=(LanguageLabel("zh", NASTY),),
        adapters=(AdapterFacts(NASTY, ("zh",), 1, 1, 1, 1.0),),
        data=(DataFacts("zh", 1, 1, 1, 0, 1, 0, 0, 0, (Reason(NASTY, 1),)),),
        curves=(Curve(NASTY, "zh", (Point(1, 2.0), Point(2, 1.0))),),
        scores=(score, replace(score, task="xcopa", metric="acc")),
        differences=(difference, replace(difference, low=-0.1)),
        samples=(Sample(NASTY, 'z"h', NASTY, NASTY, (Answer(NASTY, NASTY),)),),
        commands=(Command(NASTY, f"echo ```\n{NASTY}"),), places=(Place(NASTY, NASTY),),
    )  # fmt: skip


def plain() -> Report:
    """Return a report with a chart and little else."""
    return Report(
        title="Plain", date="2026-11-21", summary="", base="b", languages=(), adapters=(),
        curves=(Curve("zh", "zh", (Point(1, 2.0), Point(2, 1.0))),),
    )  # fmt: skip


class Tags(HTMLParser):
    """Reads a page back: its tags, its attributes, and whether every element is closed."""

    VOID = frozenset({"meta", "path", "use"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.languages: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.languages |= {value or "" for name, value in attrs if name == "lang"}

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_that_is_shown_can_become_markup(tmp_path: Path) -> None:
    written = write(nasty(), tmp_path)
    page = Tags(written.html.read_text(encoding="utf-8"))
    assert page.open == []
    assert not {"script", "img"} & page.tags
    assert not {"onerror", "src"} & page.attributes
    assert page.languages == {"en", 'z"h'}
    assert page.text.count("<script>alert(1)</script>") > 30
    document = written.markdown.read_text(encoding="utf-8")
    outside = re.sub(r"(`{3,})sh\n.*?\n\1$", "", document, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(?<![`\\])(`+)(?!`).*?[^`]\1(?!`)", "", outside)
    assert not re.search(r"<(script|img)", outside)
    assert not re.search(r"(?<!\\)\[c|://|@e", outside)
    for figure in written.figures:
        tree = ElementTree.parse(figure)
        assert not any(element.tag.endswith(("script", "img")) for element in tree.iter())


def test_items_baselines_and_the_paper_s_page_are_as_safe(tmp_path: Path) -> None:
    report = nasty()
    question = Question(NASTY, NASTY, (NASTY, NASTY), 0, (-1.0, 1.0), (1, 0))
    evidence = Evidence(
        NASTY, "zh", 9, (NASTY, "b"), NASTY, (question,), Cost(9, 90, 90, 90), (NASTY, NASTY),
        (4, 5), {NASTY: (9, 0)}, {NASTY: NASTY}, named=True,
    )  # fmt: skip
    text = replace(evidence, choice=False, labels=(), picked=None, task="held-out")
    base = replace(report.scores[1], language="et", model="base")
    whole = replace(
        report, scores=(*report.scores, base), baselines=report.scores, evidence=(evidence, text)
    )
    written = write(whole, tmp_path, paper=True)
    assert written.paper is not None
    for path in (written.html, written.paper):
        page = Tags(path.read_text(encoding="utf-8"))
        assert page.open == []
        assert not {"script", "img"} & page.tags
        assert not {"onerror", "src"} & page.attributes
    for name in ("report.md", "paper.md"):
        document = (tmp_path / name).read_text(encoding="utf-8")
        document = re.sub(r"(`{3,})sh\n.*?\n\1$", "", document, flags=re.DOTALL | re.MULTILINE)
        document = re.sub(r"(?<![`\\])(`+)(?!`).*?[^`]\1(?!`)", "", document)
        assert not re.search(r"<(script|img)", document)
        assert not re.search(r"(?<!\\)\[c|://|@e", document)
    for path in written.tables:
        if path.suffix == ".tex":
            body = [line for line in path.read_text("utf-8").splitlines() if line[:1] != "%"]
            assert not re.search(r"(?<!\\)[#~]", "".join(body))


def test_no_text_breaks_a_table_of_the_markdown(tmp_path: Path) -> None:
    document = write(nasty(), tmp_path).markdown.read_text(encoding="utf-8")
    tables = [part for part in re.split(r"\n\n+", document) if part.startswith("| ")]
    assert len(tables) == 6  # differences, scores twice, one sample, data, adapters
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b> & c", "&lt;b&gt; &amp; c"),
        ("- not a list", "&#45; not a list"),
        ("1. not a list", "&#49;. not a list"),
        ("# not a heading", r"\# not a heading"),
        ("two\n\nlines", "two lines"),
        ("snake_case", r"snake\_case"),
        ("https://a.b", "https&#58;//a.b"),
        ("2.318", "2.318"),
        ("---", "&#45;--"),
        ("-0.4 and - that", "-0.4 and - that"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, shown: str) -> None:
    assert literal(text) == shown


def test_code_spans_outlast_their_backticks() -> None:
    assert code("a|b") == "`a|b`"
    assert code("a `b` c") == "``a `b` c``"
    assert code("`") == "`` ` ``"


def test_half_a_surrogate_pair_does_not_cost_the_report(tmp_path: Path) -> None:
    torn = replace(plain(), samples=(Sample("i", "zh", "问", "", (Answer("base", "\ud83d"),)),))
    assert "<dd>" in write(torn, tmp_path).html.read_text(encoding="utf-8")


def test_a_page_that_fails_leaves_the_last_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(plain(), tmp_path).html.read_bytes()

    def fails(*_: object) -> str:
        raise ValueError("broken")

    monkeypatch.setattr("bactrian.evaluate.report.markdown.render", fails)
    with pytest.raises(ValueError, match="broken"):
        write(nasty(), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not [path for path in tmp_path.rglob("*") if "unfinished" in path.name]


def test_without_matplotlib_the_reader_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"bactrian\[report\]"):
        write(plain(), tmp_path)


def test_a_text_runs_the_way_of_its_first_letter() -> None:
    assert direction("1. مرحبا hello", "ltr") == "rtl"
    assert direction("«שלום»", "ltr") == "rtl"
    assert direction("Hello مرحبا", "rtl") == "ltr"
    assert direction("ខ្មែរ", "rtl") == "ltr"
    assert direction("123 …", "ltr") == "ltr"
    assert direction("123 …", "rtl") == "rtl"
