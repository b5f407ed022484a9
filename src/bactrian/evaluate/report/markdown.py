"""The report as GitHub-flavoured Markdown, with its charts as files beside it.

Says what the HTML page says, from the same sections. Whatever models or files wrote is escaped, so
that it can neither break a table nor become a link, a mention or markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import singledispatch
from html import escape

from bactrian.evaluate.report.blocks import (
    Block,
    Cell,
    Commands,
    Findings,
    Picture,
    Points,
    Prose,
    Samples,
    Section,
    Table,
)
from bactrian.evaluate.report.content import LanguageLabel, Report, Sample
from bactrian.evaluate.report.html import direction
from bactrian.evaluate.report.sections import sections
from bactrian.evaluate.report.words import MARKS, NOT_HELD, READINGS, Conclusion, Held

ACTIVE = re.compile(r"([\\`*_{}\[\]#~|!])")
"""Characters that mean something to Markdown wherever they stand."""
OPENING = re.compile(r"^(?:[-+](?=\s|$)|-(?=-*$)|\d+(?=[.)](?:\s|$)))")
"""What makes a list, a rule or a heading of a line that begins with it."""


def render(report: Report, pictures: Mapping[str, str]) -> str:
    """Return the document. ``pictures``: a chart's name to its file, relative to the document."""
    head = f"# {inline(report.title)}\n\n{literal(report.date)} · base model {code(report.base)}"
    parts = [head, *(_section(part, report, pictures) for part in sections(report))]
    return "\n\n".join(parts) + "\n"


def inline(text: str) -> str:
    """Return text as one line that Markdown shows as it is, within a line or a table's cell."""
    line = " ".join(text.split())
    line = ACTIVE.sub(r"\\\1", escape(line, quote=False))
    # an entity stands for itself: the characters that make GitHub link or notify are hidden in one
    for link, shown in (("://", "&#58;//"), ("www.", "www&#46;"), ("@", "&#64;")):
        line = line.replace(link, shown)
    return line


def literal(text: str) -> str:
    """Return text as Markdown shows it as it is at the beginning of a line, too."""
    return OPENING.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", inline(text))


def code(text: str) -> str:
    """Return text as a code span whose fence is longer than any in it."""
    line = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _section(part: Section, report: Report, pictures: Mapping[str, str]) -> str:
    blocks = [_block(block, report, pictures) for block in part.blocks]
    return "\n\n".join([f"## {part.title}", *filter(None, blocks)])


def _block(block: Block, report: Report, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Picture):
        return _picture(block, pictures)
    if isinstance(block, Samples):
        return "\n\n".join(_sample(one, report.label(one.language)) for one in block.samples)
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
def _table(block: Table) -> str:
    head = _line(inline(column.label) for column in block.columns)
    rule = _line("---:" if column.numeric else "---" for column in block.columns)
    rows = [_line(map(_cell, row)) for row in block.rows]
    return "\n".join([f"**{inline(block.caption)}**", "", head, rule, *rows])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
        _line((inline(who), _text(text, label)))
        for who, text in asked + [(answer.model, answer.text) for answer in one.answers]
    ]
    head = _line((inline(label.name), inline(one.id)))
    return "\n".join([head, _line(("---", "---")), *rows])


def _text(text: str, label: LanguageLabel) -> str:
    if not text.strip():
        return "*(no text)*"
    lines = "<br>".join(inline(line) for line in text.strip().splitlines())
    way = direction(text, label.direction)
    return f'<div dir="{way}" lang="{escape(label.id)}">{lines}</div>' if way == "rtl" else lines


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
