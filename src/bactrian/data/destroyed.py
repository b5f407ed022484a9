"""Which English tasks translation destroys, by what they ask for.

Such a task works on the form of English words (letters, sounds, spelling, grammar, idiom, double
meaning) or asks for a translation: a translator repairs the faults that were to be found and
moves the letters that were to be counted. Knows no provider and no other language.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, cast

from bactrian import languages
from bactrian.data.spans import quotes

DestroyedKind = Literal[
    "grammar",
    "spelling",
    "rhyme",
    "letters",
    "translation",
    "wordplay",
    "idiom",
    "acronym",
    "pronunciation",
]

_MORE_LANGUAGES = """
    Cantonese Catalan Danish Greek Hungarian Icelandic Irish Latin Malay Mandarin Norwegian Punjabi
    Sanskrit Serbian Slovak Welsh Farsi Filipino Esperanto Yiddish Gaelic
"""
_NOTHING_GIVEN = re.compile(r"\s*[\"'<\[]*(?:no ?input|n/?a|none|no)[\"'>\]]*\.?\s*", re.IGNORECASE)
_TAIL = re.compile(r"(?::[ \t]*|:?\s*\n\s*|\s[-–]\s)(?=\S)")
_TAIL_LETTERS = 3
_INSIDE = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Destroyed:
    """Why a task does not survive its translation, and what may be left in English."""

    kind: DestroyedKind
    start: int
    """Where the words that say so begin, in code points of the instruction."""
    end: int
    evidence: str
    """Those words."""
    keep_input: bool
    """With the instruction translated, and the input and ``kept`` left in English, the task is
    sound. False where it gives no English text to work on, or where that does not help."""
    kept: tuple[tuple[int, int], ...] = ()
    """Stretches of the instruction that are left in English then: quotations, else what follows
    the colon. They are what `spans.protect` takes as ``also``."""


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: DestroyedKind
    given: bool
    pattern: re.Pattern[str]
    unless: re.Pattern[str]


def recognise(instruction: str, input: str) -> Destroyed | None:
    """Return why translation destroys an English task, or None where it does not.

    Looks at the instruction's own words, not at those that it quotes.
    """
    quoted = [(start, end) for start, end, _ in quotes.every(instruction)]
    asked = _asked(instruction, quoted)
    for rule in _rules():
        found = rule.pattern.search(asked)
        if not found or rule.unless.search(asked):
            continue
        kept = tuple(quoted) or _tail(instruction, found.end())
        given = bool(kept) or not (_NOTHING_GIVEN.fullmatch(input) or not input.strip())
        start, end = found.span()
        keep = rule.given and given
        return Destroyed(rule.kind, start, end, instruction[start:end], keep, kept if keep else ())
    return None


def _asked(instruction: str, quoted: list[tuple[int, int]]) -> str:
    """The instruction with the letters inside its quotations made neutral, as long as it was."""
    parts, done = [], 0
    for start, end in quoted:
        parts += [instruction[done : start + 1], _INSIDE.sub("x", instruction[start + 1 : end - 1])]
        done = end - 1
    return "".join([*parts, instruction[done:]])


def _tail(instruction: str, after: int) -> tuple[tuple[int, int], ...]:
    """What follows the colon or the line end behind the words that ask."""
    found = _TAIL.search(instruction, after)
    if not found or sum(map(str.isalpha, instruction[found.end() :])) < _TAIL_LETTERS:
        return ()
    return ((found.end(), len(instruction.rstrip())),)


@lru_cache(maxsize=1)
def _rules() -> tuple[_Rule, ...]:
    path = resources.files("bactrian.data") / "destroyed.toml"
    told = tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
    return tuple(_rule(one) for one in told)


def _rule(told: dict[str, Any]) -> _Rule:
    names = [language.name for language in languages.every_language()] + _MORE_LANGUAGES.split()
    named = "|".join(re.escape(name) for name in names if name != "English") + "|English"
    pattern = "|".join(f"(?:{one})" for one in told["pattern"]).replace("LANGUAGE", named)
    return _Rule(
        kind=cast("DestroyedKind", told["kind"]),
        given=told["keep"] == "given",
        pattern=re.compile(pattern, re.IGNORECASE),
        unless=re.compile(told["unless"], re.IGNORECASE),
    )
