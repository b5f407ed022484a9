"""Text as Markdown shows it as it is: nothing in it becomes markup, a link or a mention."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from bactrian.evaluate.report.content import LanguageLabel
from bactrian.evaluate.report.reading_direction import direction

ACTIVE = re.compile(r"([\\`*_{}\[\]#~|!])")
"""Characters that mean something to Markdown wherever they stand."""
OPENING = re.compile(r"^(?:[-+](?=\s|$)|-(?=-*$)|\d+(?=[.)](?:\s|$)))")
"""What makes a list, a rule or a heading of a line that begins with it."""


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


def line_of(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def text_of(text: str, label: LanguageLabel) -> str:
    """Return a text of any length within a cell, its lines kept and the way it runs marked."""
    if not text.strip():
        return "*(no text)*"
    lines = "<br>".join(inline(line) for line in text.strip().splitlines())
    way = direction(text, label.direction)
    return f'<div dir="{way}" lang="{escape(label.id)}">{lines}</div>' if way == "rtl" else lines
