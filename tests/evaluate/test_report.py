"""The report: what it says, that it is safe, whole and repeatable, on both pages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bactrian.evaluate.compare import mcnemar
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
from bactrian.schema import Difference, Score

LABELS = (
    LanguageLabel("zh", "Chinese"),
    LanguageLabel("vi", "Vietnamese"),
    LanguageLabel("km", "Khmer"),
    LanguageLabel("ar", "Arabic", "rtl"),
)
PROTOCOL = {
    "xcopa": "prompt:xcopa-4c1f|norm:none|shots:0|data:e2e9d7f1|dtype:float32|rule:acc",
    "held-out": "prompt:alpaca-short-91b2|split:0.02-seed0|data:7d40aa18|dtype:float32",
}
BITS = {"zh": 2.318, "vi": 1.204, "km": 0.871, "ar": 1.655}


def _difference(
    pair: str, task: str, language: str, numbers: tuple[float, float, float]
) -> Difference:
    model, against = pair.split("-")
    metric, n = ("acc", 200) if task == "xcopa" else ("bits_per_byte", 128)
    method = "paired bootstrap over ids, 10000 draws, seed 0"
    if task == "xcopa":
        gained, lost = (3, 19) if numbers[2] < 0 else (19, 17)
        p = mcnemar(gained, lost)
        method += f"; exact McNemar p = {p:.3g} ({gained} gained, {lost} lost)"
    return Difference(
        model, against, task, language, metric, *numbers, n, method,
        higher_is_better=task == "xcopa",
    )  # fmt: skip


def _score(model: str, task: str, language: str, value: float) -> Score:
    share = task == "xcopa"
    reach = 0.067 if share else 0.09
    return Score(
        model, task, language, "acc" if share else "bits_per_byte", value, value - reach,
        value + reach, 200 if share else 128, PROTOCOL[task], higher_is_better=share,
    )  # fmt: skip


def _curve(model: str, language: str, start: float, end: float) -> Curve:
    steps = range(0, 601, 2)
    fall = [end + (start - end) * math.exp(-step / 120) for step in steps]
    training = tuple(
        Point(step, loss + 0.09 * math.sin(step * 1.7) * math.cos(step * 0.31))
        for step, loss in zip(steps, fall, strict=True)
    )
    held = tuple(
        Point(step, end + 0.06 + (start - end) * math.exp(-step / 120))
        for step in range(0, 601, 100)
    )
    return Curve(model, language, training, held)


SAMPLES = (
    Sample(
        "alpaca-0", "zh", "给出三个保持健康的建议。", "",
        (
            Answer("base", "Here are three tips for staying healthy: 1. Eat well 2. Eat well"),
            Answer("zh", "1. 均衡饮食，多吃蔬菜和水果。\n2. 经常锻炼身体。\n3. 保证充足的睡眠。"),
            Answer("multi", "1. 保持均衡的饮食。\n2. 每天运动三十分钟。\n3. 按时睡觉。"),
        ),
    ),
    Sample(
        "dolly-9", "vi", "Tóm tắt đoạn văn sau trong một câu.",
        "Hà Nội là thủ đô của Việt Nam, nằm bên bờ sông Hồng.",
        (
            Answer("base", ""),
            Answer("multi", "Hà Nội, thủ đô của Việt Nam, nằm bên sông Hồng."),
        ),
    ),
    Sample(
        "alpaca-1", "km", "តើពណ៌ចម្បងបីជាអ្វី?", "",
        (
            Answer("base", "The three primary colors are red, red and red."),
            Answer("multi", "ពណ៌ចម្បងបីគឺក្រហម ខៀវ និងលឿង។"),
        ),
    ),
)  # fmt: skip
ARABIC = Sample(
    "alpaca-2", "ar", "اذكر ثلاث نصائح للحفاظ على الصحة.", "",
    (
        Answer("base", "Eat well, sleep well."),
        Answer("multi", "1. تناول طعاماً متوازناً.\n2. مارس الرياضة بانتظام.\n3. نم جيداً."),
    ),
)  # fmt: skip


def realistic() -> Report:
    """Return the report of a small run: Chinese alone, and three languages together."""
    xcopa = [
        _difference("multi-base", "xcopa", "zh", (0.01, -0.05, 0.07)),
        _difference("multi-base", "xcopa", "vi", (-0.015, -0.075, 0.045)),
        _difference("zh-base", "xcopa", "zh", (0.005, -0.05, 0.06)),
        _difference("zh-base", "xcopa", "vi", (-0.08, -0.14, -0.025)),
    ]
    held = [
        _difference("multi-base", "held-out", "zh", (-0.412, -0.447, -0.378)),
        _difference("multi-base", "held-out", "vi", (-0.208, -0.231, -0.187)),
        _difference("multi-base", "held-out", "km", (-0.196, -0.219, -0.171)),
        _difference("zh-base", "held-out", "zh", (-0.455, -0.492, -0.419)),
        _difference("zh-base", "held-out", "vi", (0.034, 0.021, 0.048)),
        _difference("zh-base", "held-out", "km", (0.006, -0.004, 0.017)),
        _difference("multi-zh", "held-out", "zh", (0.043, 0.029, 0.058)),
    ]
    scores = [
        _score("base", "held-out", language, BITS[language]) for language in ("zh", "vi", "km")
    ]
    scores += [
        _score(one.model, "held-out", one.language, BITS[one.language] + one.value)
        for one in held
        if one.against == "base"
    ]
    scores += [_score("base", "xcopa", language, 0.53) for language in ("zh", "vi")]
    scores += [_score("base", "xcopa", "et", 0.5)]  # measured for the base alone
    scores += [_score(one.model, "xcopa", one.language, 0.53 + one.value) for one in xcopa]
    return Report(
        title="Two adapters from 2,000 English instructions",
        date="2026-11-21",
        summary=(
            "2,000 English instructions were translated into Chinese, Vietnamese and Khmer, "
            "answered in each language by one chat model, checked, and used to train two LoRA "
            "adapters: zh on Chinese alone, multi on all three languages together.\n\n"
            "Both were then held against the untouched base model on text and questions that "
            "neither had seen."
        ),
        base="HuggingFaceTB/SmolLM2-135M-Instruct @ 12fd25f",
        languages=LABELS[:3],
        adapters=(
            AdapterFacts("zh", ("zh",), 4_884_480, 600, 1_204_339, 1_145.2),
            AdapterFacts("multi", ("zh", "vi", "km"), 4_884_480, 1_800, 4_630_112, 12_310.0),
        ),
        data=(
            DataFacts("zh", 2_000, 2_000, 1_996, 1_951, 45, 4, 1_823, 128,
                      (Reason("wrong-script", 31), Reason("cut-off", 12), Reason("repeats", 6))),
            DataFacts("vi", 2_000, 2_000, 2_000, 1_978, 22, 0, 1_850, 128,
                      (Reason("wrong-language", 22),)),
            DataFacts("km", 2_000, 1_551, 1_548, 1_402, 146, 452, 1_274, 128,
                      (Reason("wrong-script", 97), Reason("cut-off", 49))),
        ),
        curves=(
            _curve("zh", "zh", 3.4, 1.9),
            _curve("multi", "zh", 3.4, 2.02),
            _curve("multi", "vi", 2.3, 1.31),
            _curve("multi", "km", 2.9, 1.55),
        ),
        scores=tuple(scores),
        differences=tuple(held + xcopa),
        samples=SAMPLES,
        commands=(
            Command("The whole run", "bactrian run recipes/demo.toml"),
            Command("Only the evaluation", "bactrian evaluate results/demo --models base zh multi"),
        ),
        places=(
            Place("Adapters", "adapters/zh, adapters/multi"),
            Place("Every answer to every item", "results/demo/samples_*.jsonl"),
        ),
        notes=("Khmer has 452 rows without a translation in the recording.",),
    )  # fmt: skip


def arabic() -> Report:
    """Return the same report with a language that is written from right to left."""
    base = realistic()
    return replace(
        base, languages=LABELS, samples=(*base.samples, ARABIC),
        differences=(
            *base.differences,
            _difference("multi-base", "held-out", "ar", (-0.301, -0.33, -0.27)),
        ),
    )  # fmt: skip


class Page(HTMLParser):
    """Reads a page back: elements with their attributes, and the text outside of <style>."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.lasttag != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One written report that the tests only read."""
    place = tmp_path_factory.mktemp("report")
    write(arabic(), place)
    yield place


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_write_leaves_the_two_pages_and_the_figures_and_nothing_else(tmp_path: Path) -> None:
    written = write(realistic(), tmp_path / "results" / "demo")
    names = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    tables = {name for name in names if "/tables/" in name}
    assert len(tables) == 2 * 2 * 2  # scores and differences of two tasks, as LaTeX and CSV
    charts = {f"results/demo/figures/{name}.svg" for name in ("loss", "heat", "differences")}
    assert names - tables == {"results/demo/report.html", "results/demo/report.md"} | charts
    files = {written.html, written.markdown, *written.figures, *written.tables}
    assert files == {tmp_path / name for name in names}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = write(realistic(), tmp_path / "a"), write(realistic(), tmp_path / "b")
    pairs = zip(
        (first.html, first.markdown, *first.figures, *first.tables),
        (again.html, again.markdown, *again.figures, *again.tables),
        strict=True,
    )
    for one, other in pairs:
        assert one.read_bytes() == other.read_bytes()


def test_the_verdict_comes_first_on_both_pages(folder: Path, page: Page) -> None:
    sections = [attrs["id"] for tag, attrs in page.elements if tag == "section"]
    assert sections[:2] == ["verdict", "done"]
    headings = re.findall(r"^## (.*)$", (folder / "report.md").read_text("utf-8"), re.MULTILINE)
    assert headings[:2] == ["The verdict", "What was done"]
    assert len(headings) == len(sections)


def test_both_pages_say_the_same(folder: Path, page: Page) -> None:
    document = (folder / "report.md").read_text(encoding="utf-8")
    text, document = page.text, " ".join(document.replace("\\", "").split())
    for said in (
        "Two adapters from 2,000 English instructions", "4,884,480", "3 h 25 min", "19 min 5 s",
        "−0.447 to −0.378", "▲ better", "▼ worse", "○ inside the noise", "not measured",
        "exact McNemar p = 0.868 (19 gained, 17 lost)", "1,951", "wrong-script",
        "against zh",
        "bactrian run recipes/demo.toml", "ពណ៌ចម្បងបីគឺក្រហម", "(no text)", "452 rows without",
    ):  # fmt: skip
        assert said.lower() in text.lower(), said
        assert said.lower() in document.lower(), said
    for signature in PROTOCOL.values():
        assert f" {signature} " in text
        assert f"`{signature}`" in document


def test_the_page_fetches_nothing_and_runs_nothing(folder: Path, page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    for _, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "action"):
            assert attrs.get(name, "#").startswith("#")
    source = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import", source)
    assert re.sub(r'xmlns(:\w+)?="[^"]*"', "", source).count("http") == 1  # http-equiv


def test_links_and_labels_point_at_something_that_is_there_once(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        href = attrs.get("href", "").lstrip("#")
        for target in filter(None, (href, attrs.get("aria-labelledby"))):
            assert target in ids
    assert {"clippath", "use"} <= {tag for tag, _ in page.elements}


def test_text_carries_its_language_and_direction(page: Page) -> None:
    texts = [attrs for tag, attrs in page.elements if tag == "p" and "lang" in attrs]
    found = {(attrs["lang"], attrs["dir"]) for attrs in texts}
    # a base that answers Arabic in English is shown as it reads: from left to right
    assert found == {("zh", "ltr"), ("vi", "ltr"), ("km", "ltr"), ("ar", "rtl"), ("ar", "ltr")}
    assert sum(attrs["dir"] == "rtl" for attrs in texts) == 2


def test_markdown_marks_right_to_left_text(folder: Path) -> None:
    document = (folder / "report.md").read_text(encoding="utf-8")
    assert '| instruction | <div dir="rtl" lang="ar">اذكر' in document
    assert "| base | Eat well, sleep well. |" in document


def test_the_page_holds_a_panel_for_each_language_and_each_task(folder: Path) -> None:
    source = (folder / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<svg.*?</svg>", source, re.DOTALL)) == 3 + 2 + 3
    document = (folder / "report.md").read_text(encoding="utf-8")
    for picture in re.findall(r"!\[[^\]]*\]\((.*?)\)", document):
        assert (folder / picture).is_file()
    assert document.count("](figures/") == 3


def test_a_report_of_almost_nothing_can_be_written(tmp_path: Path) -> None:
    bare = Report(title="Empty", date="2026-11-21", summary="", base="b", languages=(), adapters=())
    written = write(bare, tmp_path)
    assert written.figures == ()
    page = Page(written.html.read_text(encoding="utf-8"))
    assert "Empty" in page.text


def test_infinite_intervals_and_broken_losses_are_shown_as_what_they_are(tmp_path: Path) -> None:
    base = realistic()
    broken = Curve("multi", "km", (Point(1, 2.0), Point(2, math.nan)), (Point(2, math.inf),))
    one = replace(base.differences[0], low=-math.inf, high=math.inf, n=1)
    shown = replace(base, differences=(one,), curves=(broken, Curve("zh", "zh", (Point(1, 2.0),))))
    text = Page(write(shown, tmp_path).html.read_text(encoding="utf-8")).text
    assert "−∞ to +∞" in text
    assert "multi, Khmer: 2 losses are not numbers and are not drawn." in text
