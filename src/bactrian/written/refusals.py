"""Finds answers that refuse, or that speak as a model. Matches the phrases of refusals.toml."""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import regex

from bactrian.text import UNSPACED, first_graphemes, normalise

_JOINT = regex.compile(r"(,?\s*…\s*|,\s*|\s)")
_GAP = r"[^.!?\u3002\u0964\u06d4\n]{0,120}?"
_HAS_UNSPACED = regex.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Phrases:
    """The beginnings of refusals in one language, as written."""

    anywhere: tuple[str, ...]
    """Stems that give a model away wherever they stand near the start."""
    opens: tuple[str, ...]
    """Stems that do so only where they are the first words."""


def find_refusal(text: str, code: str, graphemes: int) -> tuple[str, int] | None:
    """Return the first refusing phrase and where it begins, or None.

    Case, apostrophes, invisible characters and Arabic vowel signs make no difference.
    """
    pattern = _pattern(code)
    # the cheap window first: a cluster rarely has more than four code points
    if not pattern.search(normalise(text[: graphemes * 4])):
        return None
    window = first_graphemes(text, graphemes)
    found = pattern.search(normalise(window))
    if found is None:
        return None
    return _in_original(window, found.end(), found.end() - found.start())


def _in_original(window: str, end: int, length: int) -> tuple[str, int]:
    """Where the stretch of the normalised window that ends at ``end`` stands in the window."""
    places = range(len(window) + 1)
    stop = bisect_left(places, end, key=lambda place: len(normalise(window[:place])))
    start = bisect_left(places, end - length + 1, key=lambda p: len(normalise(window[:p]))) - 1
    start = max(start, 0)
    return window[start:stop].strip(), start


@lru_cache(maxsize=128)
def _pattern(code: str) -> regex.Pattern[str]:
    """One pattern of a language's phrases and of the English ones."""
    every = [_table()[key] for key in dict.fromkeys((code, "en")) if key in _table()]
    anywhere = "|".join(_stem(stem) for phrases in every for stem in phrases.anywhere)
    opens = "|".join(_stem(stem) for phrases in every for stem in phrases.opens)
    # a word may begin inside a run of letters only where no space is written
    begins = rf"(?<![\w--[{UNSPACED}]])"
    return regex.compile(rf"{begins}(?:{anywhere})|^\W*(?:{opens})", regex.VERSION1)


def _stem(stem: str) -> str:
    """The pattern of one stem: gaps, optional commas, free spaces where none are written."""
    plain = normalise(stem)
    free = r"\s?" if _HAS_UNSPACED.search(plain) else ""
    parts = []
    for part in _JOINT.split(plain):
        if "…" in part:
            parts.append(_GAP)
        elif part.startswith(",") and not plain.endswith(part):
            parts.append(r"[,.]?\s*")
        elif part == " ":
            parts.append(free or r"\s")
        else:
            parts.append(free.join(regex.escape(char) for char in part))
    return "".join(parts)


def phrases(code: str) -> Phrases:
    """Return the phrases of one language; raises KeyError where there are none."""
    return _table()[code]


@lru_cache(maxsize=1)
def _table() -> dict[str, Phrases]:
    raw = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8"))
    return {
        code: Phrases(tuple(row.get("anywhere", ())), tuple(row.get("opens", ())))
        for code, row in raw.items()
    }
