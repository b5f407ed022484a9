"""Tells the language of a row by its script and py3langid, as the check ``language`` does.

The instruction decides, since a task may well ask for an answer in another language. Knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from bactrian import text
from bactrian.data.checks.settings import CheckSettings
from bactrian.languages import every_language
from bactrian.written.identifier import ALONE, alike, identifier, probability

SETTINGS = CheckSettings()
ENOUGH = 10.0
"""Letters (Latin ones, or their weight in another script) that it takes to tell a language."""
NOT_TOLD = "its language cannot be told"
NOT_KNOWN = "its language is not among those known here"


@dataclass(frozen=True, slots=True)
class Identified:
    """The language of a row, or why it has none."""

    code: str = ""
    """Code of a known language; empty where it cannot be told or is not among them."""
    why: str = ""
    """One of the reasons above, and after a colon what was seen."""


def identify(*texts: str) -> Identified:
    """Return the language of a row whose texts are given, the most telling one first.

    A later text is read only where those before it do not tell.
    """
    read, found = "", Identified(why=f"{NOT_TOLD}: there are no words")
    for one in texts:
        before, read = read, f"{read}\n{text.prose(one)}".strip()[: SETTINGS.language_window]
        if read != before:
            found = _identified(read)
        if found.code or found.why.startswith(NOT_KNOWN):
            break
    return found


def _identified(read: str) -> Identified:
    counts = text.script_counts(read)
    weights = {script: text.LETTER_WEIGHT.get(script, 1.0) * n for script, n in counts.items()}
    weight = sum(weights.values())
    for script, code in _alone().items():
        if weights.get(script, 0.0) > weight / 2:
            return Identified(code)
    if weight < ENOUGH:
        return Identified(why=f"{NOT_TOLD}: there are {'too few' if weight else 'no'} words")
    return _by_words(read)


def _by_words(read: str) -> Identified:
    chances = dict(identifier().rank(read))
    best, second = sorted(chances, key=lambda code: -chances[code])[:2]
    together = probability(chances, best)
    if together < SETTINGS.language_other:
        seen = ", ".join(f"{code} {chances[code]:.0%}" for code in (best, second))
        return Identified(why=f"{NOT_TOLD}: {seen}")
    # neighbours that the identifier mixes up count as the one that is known here
    known = (code for code in alike(best) if code in _known())
    code = max(known, key=lambda code: chances.get(code, 0.0), default="")
    if code and (code == best or chances.get(code, 0.0) > SETTINGS.language_own):
        return Identified(code)
    return Identified(why=f"{NOT_KNOWN}: {best} {together:.0%}")


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(language.code for language in every_language())


@lru_cache(maxsize=1)
def _alone() -> dict[str, str]:
    """Return the languages by the single script that only they are written in."""
    found = {
        single: language.code
        for language in every_language()
        if language.script in ALONE
        for single in text.scripts_in(language.script) - {"Hani"}
    }
    return {**found, "Hira": "ja", "Kana": "ja"}
