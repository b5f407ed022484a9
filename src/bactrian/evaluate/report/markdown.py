"""The report as GitHub-flavoured Markdown, with its charts as files beside it.

Says what the HTML page says, from the same sections. Whatever models or files wrote is escaped, so
that it can neither break a table nor become a link, a mention or markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import singledispatch

from bactrian.evaluate.report.blocks import (
    Bars,
    Block,
    Cell,
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
from bactrian.evaluate.report.content import LanguageLabel, Report, Sample
from bactrian.evaluate.report.markdown_evidence import bars, items, numbers
from bactrian.evaluate.report.markdown_text import code, inline, line_of, literal, text_of
from bactrian.evaluate.report.words import MARKS, NOT_HELD, READINGS, Conclusion, Held


def render(page: Page, report: Report, pictures: Mapping[str, str]) -> str:
    """Return the document. ``pictures``: a chart's name to its file, relative to the document."""
    head = f"# {inline(page.title)}\n\n{literal(report.date)} · base model {code(report.base)}"
    parts = [head, *(_section(part, report, pictures) for part in page.sections)]
    return "\n\n".join(parts) + "\n"


def _section(part: Section, report: Report, pictures: Mapping[str, str]) -> str:
    blocks = [_block(block, report, pictures) for block in part.blocks]
    return "\n\n".join([f"## {part.title}", *filter(None, blocks)])


def _block(block: Block, report: Report, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Picture):
        return _picture(block, pictures)
    if isinstance(block, Samples):
        return "\n\n".join(_sample(one, report.label(one.language)) for one in block.samples)
    if isinstance(block, Items):
        return items(block, report.label(block.evidence.language))
    if isinstance(block, Fold):
        inside = "\n\n".join(_block(one, report, pictures) for one in block.blocks)
        head = f"<details>\n<summary>{inline(block.summary)}</summary>"
        return f"{head}\n\n{inside}\n\n</details>"
    return _plain(block)


@singledispatch
def _plain(block: Block) -> str:
    raise TypeError(f"no way to show {type(block).__name__}")


@_plain.register
def _prose(block: Prose) -> str:
    return literal(block.text)


@_plain.register
def _findings(block: Findings) -> str:
    return "\n\n".join(map(_finding, block.conclusions))


def _finding(one: Conclusion) -> str:
    held = [_held(it) for it in one.held] or [NOT_HELD]
    return "\n\n".join([f"### {inline(one.model)}", *held])


def _held(one: Held) -> str:
    tally = " · ".join(
        f"{MARKS[which]} {count} {READINGS[which]}" for which, count in one.tally if count
    )
    sentences = "\n".join(f"- {literal(sentence)}" for sentence in one.sentences)
    return f"**Against {inline(one.against)}** ({tally})\n\n{sentences}"


@_plain.register
def _numbers(block: Numbers) -> str:
    return numbers(block)


@_plain.register
def _bars(block: Bars) -> str:
    return bars(block)


@_plain.register
def _table(block: Table) -> str:
    head = line_of(inline(column.label) for column in block.columns)
    rule = line_of("---:" if column.numeric else "---" for column in block.columns)
    rows = [line_of(map(_cell, row)) for row in block.rows]
    return "\n".join([f"**{inline(block.caption)}**", "", head, rule, *rows])


def _cell(cell: Cell) -> str:
    return inline(cell.text) + (f" <sub>{inline(cell.small)}</sub>" if cell.small else "")


def _picture(block: Picture, pictures: Mapping[str, str]) -> str:
    if block.name not in pictures:
        return ""
    picture = f"![Chart: {block.name}]({pictures[block.name]})"
    return f"{picture}\n\n{literal(block.caption)}"


def _sample(one: Sample, label: LanguageLabel) -> str:
    asked = [("instruction", one.instruction)] + ([("input", one.input)] if one.input else [])
    rows = [
        line_of((inline(who), text_of(text, label)))
        for who, text in asked + [(answer.model, answer.text) for answer in one.answers]
    ]
    head = line_of((inline(label.name), inline(one.id)))
    return "\n".join([head, line_of(("---", "---")), *rows])


@_plain.register
def _commands(block: Commands) -> str:
    return "\n\n".join(f"{literal(one.what)}\n\n{_fenced(one.command)}" for one in block.commands)


def _fenced(command: str) -> str:
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{command.strip()}\n{fence}"


@_plain.register
def _points(block: Points) -> str:
    return "\n".join(
        f"- **{inline(term)}**: {said}" if term else f"- {said}"
        for term, text in block.points
        for said in [code(text) if block.verbatim else literal(text)]
    )
