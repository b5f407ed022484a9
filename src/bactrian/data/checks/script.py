"""Finds text written in another script than the language's own.

Knows which Latin letters may stand in any text (names, acronyms, words of the English source),
and that a task may ask for another language. Does not tell languages of one script apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import regex

from bactrian.data.checks.row import Checked, flag, prose_of
from bactrian.data.checks.settings import CheckSettings
from bactrian.data.checks.task import excused_script
from bactrian.schema import Field, Flag
from bactrian.text import LETTER_WEIGHT, letter_weight, script_counts, script_of, scripts_in

_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*+(?:['’]\p{L}[\p{L}\p{M}]*+)*")
_FIELDS: tuple[Field, ...] = ("instruction", "output")
NAMES = {
    "Arab": "Arabic",
    "Beng": "Bengali",
    "Cyrl": "Cyrillic",
    "Deva": "Devanagari",
    "Geor": "Georgian",
    "Grek": "Greek",
    "Gujr": "Gujarati",
    "Hang": "Hangul",
    "Hani": "Han",
    "Hans": "Chinese",
    "Hant": "Chinese",
    "Hebr": "Hebrew",
    "Hira": "Hiragana",
    "Jpan": "Japanese",
    "Kana": "Katakana",
    "Khmr": "Khmer",
    "Kore": "Korean",
    "Latn": "Latin",
    "Mlym": "Malayalam",
    "Mymr": "Burmese",
    "Sinh": "Sinhala",
    "Taml": "Tamil",
    "Telu": "Telugu",
    "Thai": "Thai",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A word in another script."""

    word: str
    script: str
    start: int


def script(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject a row whose instruction or output is mostly in a foreign script.

    Only prose counts. Of Latin words only those in small letters that the English source does
    not have: words that somebody should have written in the language. Without a source, an
    output in a third script only gets a warning: nobody knows whether it was asked for.
    """
    for field in _FIELDS:
        if found := _foreign(row, field, settings):
            return found
    return None


def _foreign(row: Checked, field: Field, settings: CheckSettings) -> Flag | None:
    own = scripts_in(row.language.script)
    counts = script_counts(prose_of(row, field))
    native = _weigh(counts, own)
    if native >= settings.script_share * _weigh(counts, counts):
        return None
    words = list(_foreign_words(row, field, own))
    foreign = sum(letter_weight(found.word) for found in words)
    if foreign < settings.script_letters or native >= settings.script_share * (native + foreign):
        return None
    if field == "output" and excused_script(row, words[0].script):
        return None
    share = f"{native / (native + foreign):.0%} of the letters are"
    expected = NAMES.get(row.language.script, row.language.script)
    reason = f"{NAMES.get(words[0].script, words[0].script)} script, expected {expected} ({share})"
    third = words[0].script != "Latn" and field == "output" and not row.has_source
    text = getattr(row.example, field)
    start = words[0].start
    span = (_run(text, start, own), start)
    return flag("script", "warn" if third else "reject", field, reason, span)


def _foreign_words(row: Checked, field: Field, own: frozenset[str]) -> Iterator[_Found]:
    """The words that should be in the language and are not."""
    for found in _WORD.finditer(prose_of(row, field)):
        word = found.group()
        name = script_of(word[0])
        if not name or name in own or word.casefold() in row.source_words:
            continue
        if name == "Latn" and (len(word) < 3 or not word.islower()):
            continue
        yield _Found(word, name, found.start())


def _weigh(counts: Mapping[str, int], scripts: Iterable[str]) -> float:
    return sum(counts.get(name, 0) * LETTER_WEIGHT.get(name, 1.0) for name in scripts)


def _run(text: str, start: int, own: frozenset[str]) -> str:
    """The text from ``start`` up to the next letter of the language's script."""
    end = next((i for i in range(start, len(text)) if script_of(text[i]) in own), len(text))
    return text[start:end].rstrip()
