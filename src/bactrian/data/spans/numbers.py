"""Numbers that a translator would write otherwise, sums and equations.

A plain count ("5 tips", "in 2020") is left to the translator, whose grammar depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bactrian.data.spans.find import Found

_FIGURE = r"[0-9]+(?:[.,:][0-9]+)*"
_UNITS = (
    r"km/h|km²|km2|km|cm²|cm3|cm2|cm|mm|nm|µm|m/s²|m/s\^?2|m/s|m²|m³|m2|m3|kg|mg|lbs?|oz|mL|ml|"
    r"mph|kph|[kMG]?Hz|[kKMGTP]B|[kMG]?bps|kWh|kW|MW|kJ|kN|kPa|psi|kcal|°\s?[CFK]?|º\s?[CF]?|sq\.?\s?ft|"
    r"sq\.?\s?m|ft²|ft|yds?|mi|mins?|secs?|hrs?|[ap]\.m\.|[ap]\.?m|[AP]\.?M|bpm|rpm|fps|px|pt|dpi|dB|"
    r"mAh|USD|EUR|GBP|INR|JPY|CAD|AUD|CHF|ppm|mol|in²"
)
_CLOSE_UNITS = r"[mgLlNJWVAKMBkCFxh]|bn|GB"
_END = r"(?![A-Za-z0-9])"
_MONEY = r"[$€£¥₹₩₽฿]"
_OPEN, _CLOSE = r"[\[({]", r"[\])}]"
_ITEM = r"-?[0-9]+(?:\.[0-9]+)?"
_NUMBER = re.compile(
    rf"""
      {_OPEN}{{1,3}}\s*{_ITEM}(?:[\s,;]+(?:{_OPEN}\s*)*{_ITEM}(?:\s*{_CLOSE})*)+
    | (?<![A-Za-z0-9_.,]){_ITEM}(?:,\s?{_ITEM}){{2,}}(?![0-9]|[.,][0-9]|\s?%)
    | (?<![A-Za-z0-9_])(?:\+[0-9]{{1,3}}[ -])?(?:\([0-9]{{3}}\)\s?|[0-9]{{3}}[-.])
      [0-9]{{3}}[-.][0-9]{{4}}{_END}
    | (?<![A-Za-z0-9_.,/-])[0-9]{{1,4}}([/.-])[0-9]{{1,2}}\1[0-9]{{1,4}}(?![0-9A-Za-z]|[.,/-][0-9])
    | (?<![A-Za-z0-9_.,])[0-9]{{1,2}}['′](?:[0-9]{{1,2}}(?:["″]|'')?)?(?![A-Za-z0-9])
    | (?<![A-Za-z0-9_]){_MONEY}\s?{_FIGURE}(?:\s?(?:k|K|M|B|bn){_END})?
    | (?<![A-Za-z0-9_)\].,%°])(?<![0-9)]\s)[-−]{_FIGURE}
      (?:\s?%|\s?(?:{_UNITS}){_END})?(?![A-Za-z0-9/-])
    | (?<![A-Za-z0-9_.,/]){_FIGURE}
      (?:\s?(?:%|{_MONEY}(?!\s?[0-9]))|\s?(?:{_UNITS}){_END}|(?:{_CLOSE_UNITS}){_END}
        |\s[mgLlNJWV]{_END}(?!['’]))
    | (?<![A-Za-z0-9_.,/])[0-9]+/[0-9]+(?![0-9A-Za-z/])
    | (?<![A-Za-z0-9_.,])(?:[0-9]+(?:[.,:][0-9]+)+|[0-9]{{5,}})(?![A-Za-z0-9_])
    """,
    re.VERBOSE,
)
_LIST_COMMAS = 2
_VARIABLE = r"(?:[A-Za-z]|sin|cos|tan|log|ln|sqrt|pi|π|θ|√)"
_TERM = (
    rf"[(\[|]*[-−+]?(?:[0-9]+(?:[.,][0-9]+)*{_VARIABLE}{{0,3}}|{_VARIABLE}{{1,3}}(?:_?[0-9])?)"
    r"(?:\([0-9A-Za-z+\-*/^, ]{1,20}\))?(?:[²³]|\s?\^\s?[{(]?[-+]?[0-9A-Za-z+\-/]{1,6}[})]?)?"
    r"[²³°!%]?[)\]|]*"
)
_STRONG = r"<=|>=|!=|==|[=+*×÷·<>≤≥≠≈→^∗]"
_WEAK = r"(?<=[ ])[-−–/x](?=[ ])|[-−/](?=[0-9(a-z])"
_SUM = re.compile(
    rf"(?<![A-Za-z0-9_.,'’])(?:{_TERM})(?:[ ]?(?:{_STRONG}|{_WEAK})[ ]?(?:{_TERM}))+"
    r"(?![A-Za-z0-9_]|['’][a-z])"
)
_SUM_HINT = re.compile(_STRONG)
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_KNOWN = frozenset(("sin", "cos", "tan", "log", "ln", "sqrt", "pi"))
_SMALL = "in is of to it as at an on or if by be we he so no my me do go up us am"
_SMALL_WORDS = frozenset(_SMALL.split())
_POWER = re.compile(
    r"(?<![A-Za-z0-9_])(?:[0-9]*[A-Za-z]|[0-9]+)(?:\^\{?-?[0-9A-Za-z]+\}?|[²³])(?![A-Za-z0-9])"
)
_CALL = re.compile(r"(?<![A-Za-z0-9_])[a-zA-Z]\([a-zA-Z0-9](?:,\s?[a-zA-Z0-9])*\)(?![A-Za-z])")
_DIGIT = re.compile(r"[0-9²³]")


def numbers(value: str) -> Iterator[Found]:
    """Yield equations and sums, and figures with a form, a unit or a currency; they may overlap."""
    if _SUM_HINT.search(value):
        for found in _SUM.finditer(value):
            if _is_sum(found[0]):
                yield *_balanced(found), "formula"
        for pattern in (_POWER, _CALL):
            for found in pattern.finditer(value):
                yield found.start(), found.end(), "formula"
    if _DIGIT.search(value):
        yield from _figures(value)


def _figures(value: str) -> Iterator[Found]:
    place = 0
    while found := _NUMBER.search(value, place):
        start, end = _balanced(found)
        # "(5, 6 apples)" opens a bracket and no list
        if start > found.start() and value.count(",", start, end) < _LIST_COMMAS:
            place = start
            continue
        yield start, end, "number"
        place = end


def _balanced(found: re.Match[str]) -> tuple[int, int]:
    """Without a bracket at an end whose other half is not there: "(36 × 24" is "36 × 24"."""
    start, end = found.span()
    inside = found[0]
    for opened, closed in ("()", "[]", "{}"):
        more = inside.count(opened) - inside.count(closed)
        start += min(max(more, 0), len(inside) - len(inside.lstrip(opened)))
        end -= min(max(-more, 0), len(inside) - len(inside.rstrip(closed)))
    return start, end


def _is_sum(found: str) -> bool:
    """``3x + 5 = 20`` and ``a > b``, where no run of letters could be a word."""
    if not _SUM_HINT.search(found):
        return False
    words = [word.lower() for word in _LETTERS.findall(found)]
    return all(word in _KNOWN or (len(word) == 2 and word not in _SMALL_WORDS) for word in words)
