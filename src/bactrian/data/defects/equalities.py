"""Equalities that a text writes out with numbers only, such as ``15 x 8 = 120``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from bactrian.data.defects.exact import PLAIN, numbers, value

_SIGN = re.compile(r"(?<![=<>!:~≠≈+\-*/])=(?![=>])")
_INSIDE = frozenset("0123456789.,+-−–*×·∙/÷^()%$£€ xX²³")
_JOINS = re.compile(
    r"\b(?:of|root|times|plus|minus|by|over|per|log|ln|sin|cos|tan|sqrt|mod|than|from|to|and|"
    r"divided|multiplied|[A-Za-z])$|[^A-Za-z]$"
)
"""Words before an expression that belong to it: *the square root of* 9 + 16."""
_OPERATOR = re.compile(r"[\d)%]\s*(?:[-+*/^×÷·∙−–]|[xX](?=\s*[\d(]))\s*[\d($-]|\d[²³]")
_NUMBERED = re.compile(r"^\s*\d{1,2}[.)]\s+(?=\S)")
_FIRST = re.compile(rf"\s*[$£€]?\s*([-−–]?\s?(?:{PLAIN})%?)")
_NEXT = re.compile(r"(?<=\d)\s+(?=[-−–]\d)")
_ENDS = re.compile(r"(?<=\d)(?:\s+(?=[-−–]\d)|,\s)")
_REACH = 120
_CLOSE = Fraction(5, 1000)


@dataclass(frozen=True, slots=True)
class Equality:
    """``left = right`` as written, where both sides can be worked out."""

    left: str
    value: Fraction
    right: str
    start: int
    end: int
    holds: bool
    """Both sides agree, to the last written digit."""


def equalities(text: str) -> Iterator[Equality]:
    """Yield the equalities of a text whose left side is worked out and right side a number."""
    for sign in _SIGN.finditer(text):
        start, left = _left_of(text, sign.start())
        right = _right_of(text, sign.end())
        size = value(left) if left else None
        if size is None or right is None:
            continue
        written, end = right
        held = _agree(size, written)
        if held is not None:
            yield Equality(left, size, written, start, end, held)


def _left_of(text: str, end: int) -> tuple[int, str]:
    """The expression that ends there, and where it begins; nothing where it may be longer."""
    start = end
    while start > 0 and end - start < _REACH and text[start - 1] in _INSIDE:
        start -= 1
    run = text[start:end]
    *_, cut = 0, *(apart.end() for apart in _NEXT.finditer(run))
    run, start = run[cut:], start + cut
    for cut in (run.rfind(", ") + 2 if ", " in run else 0, _numbered(run)):
        run, start = run[cut:], start + cut
    bare = run.lstrip(" .,)x")
    start += len(run) - len(bare)
    if bare.count("(") == bare.count(")") + 1 and bare.startswith("("):
        bare, start = bare[1:], start + 1
    whole = bare[:1] and (bare[0].isdigit() or bare[0] in "($£€")
    if not whole or not _OPERATOR.search(bare) or _joined(text[max(0, start - 12) : start]):
        return end, ""
    return start, bare.strip()


def _numbered(run: str) -> int:
    found = _NUMBERED.match(run)
    return found.end() if found else 0


def _joined(before: str) -> bool:
    """Whether what stands before belongs to the expression: ``√``, ``2y``, ``the root of``."""
    bare = before.rstrip(" ")
    if not bare or bare[-1] in "\n:;,.(=≈":
        return False
    return bare == before or bool(_JOINS.search(bare))


def _right_of(text: str, start: int) -> tuple[str, int] | None:
    """The number (or expression) that begins there and where it ends."""
    end = start
    while end < len(text) and end - start < _REACH and text[end] in _INSIDE:
        end += 1
    run = text[start:end]
    if apart := _ENDS.search(run):  # 2 * 2 = 4 -2 * -2 = 4 are two equalities
        run, end = run[: apart.start()], start + apart.start()
    after = text[end : end + 1]
    if _OPERATOR.search(run):
        whole = run.rstrip(" .,(x")
        beyond = after.isalpha() and run == whole
        return None if beyond or value(whole) is None else (whole.strip(), start + len(whole))
    found = _FIRST.match(run)
    if not found:
        return None
    follows = (run[found.end() :] + after).lstrip(" ")
    if follows[:1] in ("+", "-", "−", "–", "*", "/", "^", "×", "÷", "x", ":"):
        return None
    variable = re.match(
        r"[A-Za-zπ√](?![A-Za-z])", text[start + found.end() : start + found.end() + 2]
    )
    return None if variable else (found[1], start + found.end())


def _agree(size: Fraction, written: str) -> bool | None:
    """Whether a side comes to the value; None where it cannot be worked out."""
    right = value(written)
    if right is None:
        return None
    first = next(numbers(written), None)
    step = first.step if first and not _OPERATOR.search(written) else Fraction(0)
    loose = size.denominator != 1 or right.denominator != 1
    for one in (right, right * 100 if "%" in written else right):
        gap = abs(one - size)
        if gap == 0 or (loose and (gap < step or gap <= step < 1 or gap <= abs(size) * _CLOSE)):
            return True
    return False
