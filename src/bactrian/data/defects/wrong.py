"""Numbers that are not what the arithmetic comes to, worked out exactly where it can be."""

from __future__ import annotations

import re

from bactrian.data import programming
from bactrian.data.defects.asked import Wanted, wanted
from bactrian.data.defects.equalities import equalities
from bactrian.data.defects.exact import Number, numbers, shown
from bactrian.data.defects.row import Found, given
from bactrian.schema import Example

_OTHER_RULES = re.compile(
    r"\b(?:binary|hex\w*|octal|base|modul\w*|boolean|logic\w*|false|incorrect|wrong|"
    r"errors?|mistakes?|puzzle|riddle|joke|correct|fix|true|matrix|vector|complex)\b",
    re.IGNORECASE,
)
"""Tasks in which 1 + 1 may be 10, or may be meant to be wrong."""
_DIGIT = re.compile(r"\d")
_LONGEST = 400
"""Code points of the longest task that is taken for a plain sum."""
_CODE = re.compile(r"[{}#\[\]]|==|//|;\s*$|\b(?:print|return|assert)\b")


def wrong_number(example: Example) -> Found | None:
    """An equality in the output does not hold, or the number asked for is not in it."""
    if not _DIGIT.search(example.output):
        return None
    return _broken(example) or _not_said(example)


def _not_said(example: Example) -> Found | None:
    """The number that the task asks for is not in the output."""
    task = f"{example.instruction}\n{example.input}"
    if len(task) > _LONGEST or not _DIGIT.search(task):
        return None
    asked = wanted(example.instruction, given(example))
    if asked is None or _is_code(example) or says(example.output, asked):
        return None
    written = list(numbers(example.output))
    if not written:
        return None
    last = written[-1]
    reason = f"{asked.what} comes to {shown(asked.value)}, which the answer does not say"
    return Found("output", reason, example.output[last.start : last.end], last.start)


def says(text: str, asked: Wanted) -> bool:
    """Whether one of the numbers in a text is the one asked for, as far as it is written out."""
    return any(_is(number, asked) for number in numbers(text))


def _is(number: Number, asked: Wanted) -> bool:
    gap = abs(number.value - asked.value)
    if gap <= abs(asked.value) * asked.slack:
        return True
    # cut off and rounded decimals both pass; a whole number has to be rounded rightly
    return (
        gap == 0
        or (gap <= number.step < 1)
        or (gap < number.step / 2 and asked.value != int(asked.value))
    )


def _broken(example: Example) -> Found | None:
    """The first equality in the output that does not hold and is not the task's own."""
    if "=" not in example.output or _OTHER_RULES.search(example.instruction):
        return None
    task = re.sub(r"\s", "", example.instruction + example.input)
    for one in equalities(example.output):
        written = example.output[one.start : one.end]
        if one.holds or re.sub(r"\s", "", written) in task or _in_code(example.output, one.start):
            continue
        reason = f"{one.left} comes to {shown(one.value)}, not {one.right}"
        return Found("output", reason, written, one.start)
    return None


def _in_code(text: str, place: int) -> bool:
    line = text[text.rfind("\n", 0, place) + 1 :].split("\n", 1)[0]
    return bool(_CODE.search(line))


def _is_code(example: Example) -> bool:
    return programming.find(example.instruction, example.input) is not None
