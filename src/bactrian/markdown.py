"""Pieces of Markdown that hold whatever text is put into them. Knows nothing of what they say.

Texts of a user's own (a prompt style, a name) may run from right to left: they stand in code, or
between marks that keep what follows in its place.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

ISOLATED, ENDED = "\u2068", "\u2069"
"""Unicode's marks around a text whose direction is its own (UAX 9, first strong isolate)."""
LEFTWARD = ("R", "AL", "AN")
UNPRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON leaves as it is, and YAML refuses or takes for the end of a line."""


def isolated(text: str) -> str:
    """Return the text so that what stands around it keeps its order, whatever way it runs."""
    if any(unicodedata.bidirectional(letter) in LEFTWARD for letter in text):
        return f"{ISOLATED}{text}{ENDED}"
    return text


def code(text: str) -> str:
    """Return the text as Markdown code in a line or a table, whatever is in it."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return isolated(f"{fence}{space}{text}{space}{fence}".replace("|", "\\|"))


def fenced(text: str, language: str = "") -> str:
    """Return lines of code between fences that are longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; a cell's own bars are its writer's to escape."""
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def quoted(text: str) -> str:
    """Return the text as YAML reads it back, whatever is in it: ``no`` stays a word."""
    told = json.dumps(text, ensure_ascii=False)  # a JSON string is one of YAML's
    return UNPRINTED.sub(lambda sign: f"\\u{ord(sign[0]):04x}", told)


def size(count: int) -> str:
    """Return bytes as people read them, in powers of 1,000."""
    for unit, power in (("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:.3g} {unit}"
    return f"{count} bytes"
