"""The report as one HTML page: no script, nothing fetched, light and dark, down to 400 pixels.

Whatever models, people or files wrote is escaped. Knows nothing of what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import singledispatch
from html import escape
from importlib.resources import files

from bactrian.evaluate.report.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Commands,
    Findings,
    Fold,
    Items,
    Numbers,
    Page,
    Picture,
    Points,
    Prose,
    Samples,
    Section,
    Table,
)
from bactrian.evaluate.report.charts import Chart
from bactrian.evaluate.report.content import Command, LanguageLabel, Report, Sample
from bactrian.evaluate.report.html_evidence import bars, items
from bactrian.evaluate.report.html_grid import table_of
from bactrian.evaluate.report.reading_direction import direction
from bactrian.evaluate.report.svg import DARK, LIGHT
from bactrian.evaluate.report.words import MARKS, NOT_HELD, READINGS, Conclusion, Held

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(page: Page, report: Report, charts: Mapping[str, Chart]) -> str:
    """Return the page. ``charts`` go by their names; a picture without a chart is left out."""
    parts = page.sections
    body = "\n".join(_section(part, report, charts) for part in parts)
    return f"""<!doctype html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(page.title)}</title>
<style>
{_colours()}{files(__package__).joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<h1>{escape(page.title)}</h1>
<p class="about">{escape(report.date)} · base model {escape(report.base)}</p>
<nav aria-label="Sections">{_links(parts)}</nav>
</header>
{body}
</main>
</body>
</html>
"""


def _colours() -> str:
    """Return the colours that page and charts share; paper is white where it is printed."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}\n"
    return f":root {{ {LIGHT} }}\n{dark}"


def _links(parts: Iterable[Section]) -> str:
    return " ".join(f'<a href="#{part.id}">{escape(part.title)}</a>' for part in parts)


def _section(part: Section, report: Report, charts: Mapping[str, Chart]) -> str:
    blocks = "\n".join(_block(block, report, charts) for block in part.blocks)
    return (
        f'<section id="{part.id}" aria-labelledby="{part.id}-title">\n'
        f'<h2 id="{part.id}-title">{escape(part.title)}</h2>\n{blocks}\n</section>'
    )


def _block(block: Block, report: Report, charts: Mapping[str, Chart]) -> str:
    if isinstance(block, Picture):
        return _picture(block, charts)
    if isinstance(block, Samples):
        shown = "\n".join(_sample(one, report.label(one.language)) for one in block.samples)
        return f'<div class="samples">\n{shown}\n</div>'
    if isinstance(block, Findings):
        shown = "\n".join(map(_finding, block.conclusions))
        return f'<div class="findings">\n{shown}\n</div>'
    if isinstance(block, Items):
        return items(block, report.label(block.evidence.language))
    if isinstance(block, Bars):
        return bars(block, report.label(block.language))
    if isinstance(block, Fold):
        inside = "\n".join(_block(one, report, charts) for one in block.blocks)
        return (
            f"<details>\n<summary>{escape(block.summary)}</summary>\n"
            f'<div class="inside">{inside}</div>\n</details>'
        )
    return _plain(block)


@singledispatch
def _plain(block: Block) -> str:
    raise TypeError(f"no way to show {type(block).__name__}")


@_plain.register
def _prose(block: Prose) -> str:
    return f"<p>{escape(block.text)}</p>"


@_plain.register
def _numbers(block: Numbers) -> str:
    return table_of(block.grid)


@_plain.register
def _points(block: Points) -> str:
    items = "\n".join(f"<li>{_point(term, text, block)}</li>" for term, text in block.points)
    return f'<ul class="points">\n{items}\n</ul>'


def _point(term: str, text: str, block: Points) -> str:
    said = f"<code>{escape(text)}</code>" if block.verbatim else escape(text)
    return f"<b>{escape(term)}</b> {said}" if term else said


@_plain.register
def _commands(block: Commands) -> str:
    return "\n".join(map(_command, block.commands))


def _command(one: Command) -> str:
    return f"<h3>{escape(one.what)}</h3>\n<pre><code>{escape(one.command)}</code></pre>"


@_plain.register
def _table(block: Table) -> str:
    head = "".join(
        f'<th scope="col" role="columnheader"{_number(column)}>{escape(column.label)}</th>'
        for column in block.columns
    )
    rows = "\n".join(_row(block.columns, row) for row in block.rows)
    # the roles are said aloud because the narrow layout takes the table's display away
    caption = escape(block.caption)
    return (
        f'<div class="scroll"><table class="cards" role="table">\n<caption>{caption}</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{rows}\n</tbody>\n</table></div>'
    )


def _row(columns: Iterable[Column], row: Iterable[Cell]) -> str:
    cells = []
    for at, (column, cell) in enumerate(zip(columns, row, strict=True)):
        small = f' <span class="small">{escape(cell.small)}</span>' if cell.small else ""
        if at == 0:
            cells.append(f'<th scope="row" role="rowheader">{escape(cell.text)}{small}</th>')
            continue
        text = escape(cell.text)
        if cell.outcome:
            text = f'<span class="{cell.outcome}">{text}</span>'
        cells.append(
            f'<td role="cell" data-label="{escape(column.label)}"{_number(column)}>'
            f"<span>{text}{small}</span></td>"
        )
    return f'<tr role="row">{"".join(cells)}</tr>'


def _number(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _finding(one: Conclusion) -> str:
    held = "\n".join(map(_held, one.held)) or f"<p>{NOT_HELD}</p>"
    return f'<article class="finding">\n<h3>{escape(one.model)}</h3>\n{held}\n</article>'


def _held(one: Held) -> str:
    tally = "".join(
        f'<li class="{which}">{MARKS[which]} {count} {READINGS[which]}</li>'
        for which, count in one.tally
        if count
    )
    sentences = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in one.sentences)
    return (
        f'<div class="held"><h4>against {escape(one.against)}</h4>'
        f'<ul class="tally">{tally}</ul></div>\n{sentences}'
    )


def _picture(block: Picture, charts: Mapping[str, Chart]) -> str:
    chart = charts.get(block.name)
    if chart is None:
        return ""
    panels = "\n".join(
        f"<div{_width(panel.width)}><h3>{escape(panel.title)}</h3>\n{panel.svg}</div>"
        for panel in chart.panels
    )
    return (
        f'<figure>\n<div class="panels {escape(block.name)}">\n{panels}\n</div>\n'
        f"<figcaption>{escape(block.caption)}</figcaption>\n</figure>"
    )


def _width(pixels: int) -> str:
    return f' style="width:{pixels}px"' if pixels else ""


def _sample(one: Sample, label: LanguageLabel) -> str:
    asked = _text(one.instruction, label) + (_text(one.input, label) if one.input else "")
    answers = "\n".join(
        f"<dt>{escape(answer.model)}</dt><dd>{_text(answer.text, label)}</dd>"
        for answer in one.answers
    )
    return (
        f'<article class="sample">\n<div class="ask"><span class="small">{escape(label.name)} · '
        f"{escape(one.id)}</span>{asked}</div>\n<dl>\n{answers}\n</dl>\n</article>"
    )


def _text(text: str, label: LanguageLabel) -> str:
    if not text.strip():
        return '<p class="empty">(no text)</p>'
    way = direction(text, label.direction)
    return f'<p class="text" lang="{escape(label.id)}" dir="{way}">{escape(text)}</p>'
