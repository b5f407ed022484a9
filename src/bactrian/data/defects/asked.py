"""What number a task asks for, where the task says it all: sums, means, equations, conversions.

Reads English tasks by patterns and works the answer out exactly; a task that could be meant
otherwise has no answer here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from bactrian.data.defects.exact import PLAIN, plain, root, value
from bactrian.data.defects.row import any_of
from bactrian.data.defects.units import NAMES, converted, unit

NUMBER = rf"[-−]?(?:{PLAIN})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number that a right answer says."""

    value: Fraction
    what: str
    """What it is the value of, as the task writes it."""
    slack: Fraction = Fraction(0)
    """Share by which an answer may differ, where factors are usually rounded."""


def wanted(instruction: str, given: str) -> Wanted | None:
    """Return the number that a task asks for, or None where that is not certain."""
    instruction = instruction.strip()
    given = given.strip()
    for rule in (_two_numbers, _expression, _equation, _statistic, _conversion):
        if found := rule(instruction, given):
            return found
    return None


# -- a written expression -------------------------------------------------------------------

_ASKS = (
    r"(?:please )?(?:calculate|compute|evaluate|solve|find|determine|work out|what is|what's|"
    r"what does|perform|answer|simplify|give|tell me|state|estimate)"
)
_ABOUT = (
    r"(?:\s+(?:me|the|this|a|following|below|given|simple|basic|math|maths|mathematical|arithmetic|"
    r"numerical|value|result|answer|output|solution|sum|of|to|for|in|problem|expression|equation|"
    r"calculation|operation|question|addition|subtraction|multiplication|division|exact))*"
)
_EXPRESSION = re.compile(
    rf"{_ASKS}{_ABOUT}\s*:?\s*(?P<told>[-(\d$][^A-Wa-wYyZz=?]*)?\s*(?:equal)?\s*[=?.!\s]*",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"[\d)]\s*(?:[-+*/^×÷·−–]|[xX](?=\s*[\d(]))\s*[\d(-]")


def _expression(instruction: str, given: str) -> Wanted | None:
    found = _EXPRESSION.fullmatch(instruction)
    if not found:
        return None
    written = (found["told"] or given).strip().rstrip("=?. ").strip()
    if not _OPERATOR.search(written) or re.fullmatch(r"\d+/\d+|[\d-]{8,}", written):
        return None
    result = value(written)
    return None if result is None else Wanted(result, written)


# -- two numbers ----------------------------------------------------------------------------

_PAIRS: list[tuple[str, Callable[[Fraction, Fraction], Fraction | None]]] = [
    (r"A\s?(?:%|percent) of B", lambda a, b: a * b / 100),
    (r"(?:the )?sum of A and B|A (?:added to|plus) B|(?:add )A (?:and|to) B", lambda a, b: a + b),
    (r"A minus B", lambda a, b: a - b),
    (r"(?:subtract )A from B|A subtracted from B", lambda a, b: b - a),
    (r"(?:the )?difference between A and B", lambda a, b: abs(a - b)),
    (
        r"(?:the )?product of A and B|A (?:times|multiplied by) B|(?:multiply )A (?:by|and|with) B",
        lambda a, b: a * b,
    ),
    (
        r"A divided by B|(?:divide )A by B|(?:the )?quotient of A and B",
        lambda a, b: a / b if b else None,
    ),
]


def _pair(shape: str) -> re.Pattern[str]:
    """The pattern of a whole task about the numbers A and B."""
    body = re.sub(r"\bA\b", "['\"“]?(NUM)['\"”]?", shape)
    body = re.sub(r"\bB\b", "['\"“]?[$]?(NUM)['\"”]?", body).replace("NUM", NUMBER)
    asks = rf"(?:{_ASKS}\s+)?(?:the (?:result|value) of |when )?"
    return re.compile(rf"{asks}(?:{body})(?: is)?\s*[.?]*", re.IGNORECASE)


_COMPILED = tuple((_pair(shape), work) for shape, work in _PAIRS)


def _two_numbers(instruction: str, given: str) -> Wanted | None:
    for pattern, work in _COMPILED:
        if found := pattern.fullmatch(instruction):
            first, second = (_number(part) for part in found.groups() if part is not None)
            result = work(first, second)
            return None if result is None else Wanted(result, instruction.rstrip(".? "))
    return None


def _number(written: str) -> Fraction:
    return plain(written.replace("−", "-"))


# -- an equation in one letter --------------------------------------------------------------

_SOLVES = re.compile(r"\b(?:solv\w*|value of|find|determine|calculate|what is)\b", re.IGNORECASE)
_OTHERWISE = re.compile(
    r"\b(?:graph|slope|intercept|form|factor\w*|type|derivative|inverse|area|distance|line|"
    r"rearrange|rewrite|simplif\w*|terms? of|inequalit\w*|how many|number of|classify|"
    r"error|mistake)\b",
    re.IGNORECASE,
)
_SIDE = r"[-\d.+*/×−–()\s]|(?<![A-Za-z])[a-zX](?![A-Za-z])"
_EQUATION = re.compile(rf"(?<![\w^²³])(?P<left>(?:{_SIDE})+)=(?P<right>(?:{_SIDE})+)(?![\w^²³])")


def _equation(instruction: str, given: str) -> Wanted | None:
    both = instruction if given in instruction else f"{instruction}\n{given}"
    if both.count("=") != 1 or not _SOLVES.search(instruction) or _OTHERWISE.search(instruction):
        return None
    found = _EQUATION.search(both)
    if not found:
        return None
    left, right = (
        side.split("\n")[at].strip(" .,:;")
        for side, at in ((found["left"], -1), (found["right"], 0))
    )
    trivial = any(re.fullmatch("[a-z]", side) for side in (left, right))
    if trivial or re.search(r"[a-z]\d", left + right) or re.search(r"[\^²³]", both):
        return None
    result = root(left, right)
    return None if result is None else Wanted(result, f"the solution of {left} = {right}")


# -- a list of numbers ----------------------------------------------------------------------

_LIST = re.compile(
    rf"[\[({{]?\s*({NUMBER}(?:(?:\s*[,;]\s*|\s+)(?:and\s+)?{NUMBER})+)\s*[\])}}]?\s*\.?"
)
_LABEL = re.compile(
    r"(?:the\s+)?(?:data|numbers?|values?|list|set|array|integers?|scores?|ages?|input)?"
    r"(?:\s*set|\s*list)?\s*(?:of numbers)?\s*[:=]\s*",
    re.IGNORECASE,
)
_WHICH = any_of("""
    mean, average, median, mode, sum, product, largest, highest, maximum, biggest, greatest,
    smallest, lowest, minimum
""")
_OF_NUMBERS = any_of("""
    the, these, this, those, a, all, given, following, below, list, sets?, array, series, group, of,
    numbers, integers, values, data, dataset, numerical, items, elements, provided, two, three,
    four, five, \\d+(?= numbers| values| integers)
""")
_STATISTIC = re.compile(
    rf"(?:{_ASKS}|given .{{0,40}}?,?\s*(?:{_ASKS}|return|output)|identify|return|output|get)\s+"
    rf"(?:me )?(?:the )?(?P<which>{_WHICH})"
    r"(?: number| value| integer| element)?(?: (?:of|in|from|for|among|between))?"
    rf"(?: {_OF_NUMBERS})*\s*:?\s*(?P<told>.*)",
    re.IGNORECASE | re.DOTALL,
)


def _statistic(instruction: str, given: str) -> Wanted | None:
    found = _STATISTIC.fullmatch(instruction)
    if not found:
        return None
    written = found["told"].strip(" .?") or given
    if given and found["told"].strip(" .?") not in ("", given.strip(" .?")):
        return None
    written = _LABEL.sub("", written, count=1) if _LABEL.match(written) else written
    listed = _LIST.fullmatch(written)
    if not listed:
        return None
    values = [_number(part) for part in _parts(listed[1])]
    result = _of(found["which"].lower(), values)
    what = f"the {found['which'].lower()} of {listed[1]}"
    return None if result is None else Wanted(result, what)


def _parts(written: str) -> list[str]:
    """The numbers of a list; a comma before a space parts numbers, so that 1,200 may stay whole."""
    spaced = re.search(r"[,;]\s", written)
    parts = re.split(r"[,;]?\s+(?:and\s+)?" if spaced else r"[,;\s]\s*(?:and\s+)?", written)
    return [part for part in parts if part]


def _of(which: str, values: list[Fraction]) -> Fraction | None:
    """Return one statistic of a list; None where it has none, or more than one."""
    match which:
        case "mean" | "average":
            return sum(values, Fraction(0)) / len(values)
        case "sum":
            return sum(values, Fraction(0))
        case "product":
            return math.prod(values, start=Fraction(1))
        case "largest" | "highest" | "maximum" | "biggest" | "greatest":
            return max(values)
        case "smallest" | "lowest" | "minimum":
            return min(values)
        case "median":
            ordered = sorted(values)
            return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    (first, times), *rest = Counter(values).most_common(2)
    return None if rest and rest[0][1] == times else first


# -- units ----------------------------------------------------------------------------------

_QUANTITY = re.compile(
    rf"(?<![\w.,-])({NUMBER})\s?(?:degrees?\s?|°\s?)?({NAMES})(?![\w/°²³^])", re.IGNORECASE
)
_TARGET = re.compile(
    rf"\b(?:to|into|in)\s+(?:its\s+|the\s+|degrees?\s+)*({NAMES})(?![\w/°²³^])", re.IGNORECASE
)
_HOW_MANY = re.compile(rf"\bhow many ({NAMES})\b", re.IGNORECASE)
_COMPOUND = re.compile(
    r"\bper\b|\w/\w|\bsquare|\bcubic|\bsq\b|²|³|\^|\bround|\bnearest|\bpace|\bspeed|\brate",
    re.IGNORECASE,
)
_CONVERTS = re.compile(
    r"(?:please )?(?:convert|change|how many|express|calculate the number of)\b", re.IGNORECASE
)
_ROUNDED = Fraction(2, 100)


def _conversion(instruction: str, given: str) -> Wanted | None:
    both = instruction if given.lower() in instruction.lower() else f"{instruction}\n{given}"
    if not _CONVERTS.match(instruction) or _COMPOUND.search(both):
        return None
    amounts = {(found[1], found[2].lower()) for found in _QUANTITY.finditer(both)}
    targets = {found[1].lower() for found in (*_TARGET.finditer(both), *_HOW_MANY.finditer(both))}
    if len(amounts) != 1 or len(targets) != 1:
        return None
    (amount, source_name), target_name = amounts.pop(), targets.pop()
    source, target = unit(source_name), unit(target_name)
    result = converted(_number(amount), source, target) if source and target else None
    what = f"{amount} {source_name} in {target_name}"
    return None if result is None else Wanted(result, what, _ROUNDED)
