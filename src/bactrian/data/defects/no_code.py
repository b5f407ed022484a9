"""Tasks whose code is not there: what they point to, or what they ask for."""

from __future__ import annotations

import re

from bactrian.data import programming
from bactrian.data.defects.row import Found, any_of, at, given
from bactrian.schema import Example

_POINTS = re.compile(
    r"\b(?:following|given|provided|this|these|attached)\s"
    r"(?:(?:piece|block|snippet|line|lines|section)s?\sof\s)?(?:[\w+#]+\s){0,2}?"
    r"(?:code|program|script|source code|code snippet|snippet of code|SQL query|pseudocode)\b"
    r"(?!\s(?:of|word|name|number))|\bcode (?:snippet |segment )?(?:below|above)\b",
    re.IGNORECASE,
)
_HOLDS_SOMETHING = re.compile(r"[:`\n\"“'({=;]")
_ASKED = any_of("""
    code(?: snippet)?, function, program, script, query, queries, class, stylesheet, regex,
    regular expression
""")
_ASKS = re.compile(
    r"^(?:please )?(?:write|create|generate|implement|code|provide|construct|develop)\s(?:me\s)?"
    r"(?:an?\s|the\s|some\s)?(?:(?!of|this|when|that|output|result)[\w+#.-]+\s){0,3}?"
    rf"{_ASKED}\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"[(){}\[\]=;<>\\^|*_`/#\n]|\d\."
    r"|\b(?:SELECT|WHERE|FROM|def|print|return|END|BEGIN|FUNCTION|step|START)\b",
    re.IGNORECASE,
)
_SHOWN = 120


def no_code(example: Example) -> Found | None:
    """The code that a task points to, or asks for, is missing."""
    return _not_given(example) or _not_answered(example)


def _not_given(example: Example) -> Found | None:
    task = example.instruction
    found = _POINTS.search(task)
    if not found or given(example) or _HOLDS_SOMETHING.search(task, found.end()):
        return None
    if _ASKS.search(task):
        return None
    return at("instruction", found, "the code that it points to is not there")


def _not_answered(example: Example) -> Found | None:
    task, answer = example.instruction, example.output.strip()
    if not answer or not _ASKS.search(task) or _CODE.search(answer) or "search" in task:
        return None
    if programming.find(task) is None:
        return None
    start = example.output.find(answer)
    return Found("output", "code was asked for, and the answer holds none", answer[:_SHOWN], start)
