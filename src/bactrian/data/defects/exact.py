"""Exact arithmetic on what is written: expressions, linear equations, the numbers in a text.

Knows no row and no task. What cannot be read with certainty is None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+"
"""A number without a sign: 7, 1,200, 3.50, .5"""
_MIXED = rf"\d+\s+\d+/\d+|{PLAIN}"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{_MIXED})(?P<percent>\s?%)?|(?P<op>\*\*|[-+*/^()])|(?P<letter>[a-z]))"
)
_LEADING_ZERO = re.compile(r"(?<![\d.])0\d")
_TIMES = re.compile(r"(?<=[\d)])(\s*)[xX](\s*)(?=[\d(])")
_SPELT = str.maketrans(
    {
        "×": "*",
        "·": "*",
        "∙": "*",
        "÷": "/",
        "−": "-",
        "–": "-",
        "²": "^2",
        "³": "^3",
        "$": "",
        "£": "",
        "€": "",
    }
)
_MINUS = re.compile(r"(?<![\w)%\]])[-−–]\s?$")
_MOST_DIGITS = 40
_LONGEST = 200
_DEEPEST = 20
_WRITTEN = re.compile(
    rf"(?P<mixed>\d+\s+\d+/[1-9]\d*)|(?P<over>\d+)\s?/\s?(?P<under>[1-9]\d*)(?![\d/])"
    rf"|(?P<base>{PLAIN})\s?[x×*·]\s?10\s?(?:\^|\*\*)\s?(?P<power>[-−–]?\d{{1,3}})|(?P<plain>{PLAIN})"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as a text writes it."""

    value: Fraction
    step: Fraction
    """One unit of its last written digit: 0.01 for 3.14, 1 for 3; 0 for a fraction."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Linear:
    """``slope * letter + rest``; a number where the slope is 0."""

    rest: Fraction
    slope: Fraction = Fraction(0)


class _Unreadable(Exception):
    """What is written is not an expression that can be worked out exactly."""


def value(text: str) -> Fraction | None:
    """Return what an expression comes to, such as ``2 + 3 x 4``; None where it is none."""
    read = _Reader(text, "").read()
    return read.rest if read else None


def root(left: str, right: str) -> Fraction | None:
    """Return the one solution of ``left = right`` in one letter; None where there is none."""
    letters = set(re.findall(r"[a-z]", _TIMES.sub("*", f"{left} = {right}")))
    if len(letters) != 1:
        return None
    letter = letters.pop()
    sides = [_Reader(side, letter).read() for side in (left, right)]
    if sides[0] is None or sides[1] is None:
        return None
    slope = sides[0].slope - sides[1].slope
    return (sides[1].rest - sides[0].rest) / slope if slope else None


def plain(text: str) -> Fraction:
    """Return a number written with digits, thousands separators and a point."""
    return Fraction(text.replace(",", ""))


def numbers(text: str) -> Iterator[Number]:
    """Yield the numbers of a text, in order: 3.14, 1,200, 7/2, 1 1/2, 2 x 10^3, with their sign."""
    for found in _WRITTEN.finditer(text):
        if len(found[0]) > _MOST_DIGITS:
            continue
        before = text[max(0, found.start() - 3) : found.start()]
        sign = -1 if _MINUS.search(before) else 1
        size, step = _size(found)
        yield Number(sign * size, step, found.start(), found.end())


def _size(found: re.Match[str]) -> tuple[Fraction, Fraction]:
    if found["mixed"]:
        whole, part = found["mixed"].split()
        return Fraction(whole) + Fraction(part), Fraction(0)
    if found["over"]:
        return Fraction(int(found["over"]), int(found["under"])), Fraction(0)
    written = found["plain"] or found["base"]
    decimals = len(written.partition(".")[2])
    power = int((found["power"] or "0").replace("−", "-").replace("–", "-"))
    scale = Fraction(10) ** power
    return plain(written) * scale, Fraction(1, 10**decimals) * scale


def shown(number: Fraction) -> str:
    """Return a number for a reader: 14, 4.5, 0.3333."""
    if number.denominator == 1:
        return f"{number.numerator:,}"
    return f"{float(number):,.4f}".rstrip("0").rstrip(".")


class _Reader:
    """Reads one expression from left to right; products bind closer than sums."""

    def __init__(self, text: str, letter: str) -> None:
        self.letter = letter
        self.text = _TIMES.sub(r"\1*\2", text).translate(_SPELT)
        self.tokens: list[str | Fraction] = []
        self.place = 0

    def read(self) -> Linear | None:
        """Return the expression; None where it is not wholly one."""
        try:
            self.tokens = list(_tokens(self.text))
            found = self._sum()
        except (_Unreadable, ZeroDivisionError, IndexError):
            return None
        return found if self.place == len(self.tokens) else None

    def _next(self) -> str | Fraction:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        found = self._next()
        if isinstance(found, str) and found in wanted:
            self.place += 1
            return found
        return ""

    def _sum(self) -> Linear:
        total = self._product()
        while sign := self._take("+", "-"):
            part = self._product()
            by = 1 if sign == "+" else -1
            total = Linear(total.rest + by * part.rest, total.slope + by * part.slope)
        return total

    def _product(self) -> Linear:
        total = self._signed()
        divided = False
        while True:
            if sign := self._take("*", "/"):
                divided = divided or sign == "/"
                total = _times(total, self._signed(), over=sign == "/")
            elif self._next() in ("(", self.letter) and self._next() != "":
                if divided:  # people do not agree on 8 / 2(2 + 2)
                    raise _Unreadable
                total = _times(total, self._power())
            else:
                return total

    def _signed(self) -> Linear:
        if self._take("-"):
            part = self._signed()
            return Linear(-part.rest, -part.slope)
        return self._power()

    def _power(self) -> Linear:
        base = self._atom()
        if not self._take("^", "**"):
            return base
        power = self._signed()
        if base.slope or power.slope or power.rest.denominator != 1 or abs(power.rest) > 64:
            raise _Unreadable
        if abs(power.rest) * len(str(base.rest.numerator)) > 30 * _MOST_DIGITS:
            raise _Unreadable
        return Linear(base.rest ** int(power.rest))

    def _atom(self) -> Linear:
        found = self._next()
        if isinstance(found, Fraction):
            self.place += 1
            return Linear(found)
        if self._take("("):
            inner = self._sum()
            if not self._take(")"):
                raise _Unreadable
            return inner
        if self.letter and self._take(self.letter):
            return Linear(Fraction(0), Fraction(1))
        raise _Unreadable


def _times(first: Linear, second: Linear, *, over: bool = False) -> Linear:
    if over:
        if second.slope:
            raise _Unreadable
        return Linear(first.rest / second.rest, first.slope / second.rest)
    if first.slope and second.slope:
        raise _Unreadable
    slope = first.slope * second.rest + second.slope * first.rest
    return Linear(first.rest * second.rest, slope)


def _tokens(text: str) -> Iterator[str | Fraction]:
    """Yield numbers and signs; an unreadable character becomes a sign that no reader takes."""
    text = text.strip()
    if len(text) > _LONGEST or text.count("(") > _DEEPEST or _LEADING_ZERO.search(text):
        yield "?"  # a date or a code rather than a number, or more than a person would write
        return
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found or (found["number"] and sum(map(str.isdigit, found[0])) > _MOST_DIGITS):
            yield "?"
            return
        place = found.end()
        if found["number"]:
            size = sum(
                (Fraction(part.replace(",", "")) for part in found["number"].split()), Fraction(0)
            )
            yield size / 100 if found["percent"] else size
        else:
            yield found["op"] or found["letter"]
