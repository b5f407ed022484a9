"""Says of one answer whether it is in the language asked for, refuses, loops, or is empty.

Lines and words as in the language confusion benchmark (Marchisio et al. 2024, arXiv:2406.20052),
by other means: scripts and py3langid, in place of fastText, a word list and segmenters. Code,
addresses and numbers are no prose and are not judged. Knows no model and no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

import regex

from bactrian import text
from bactrian.languages import Language
from bactrian.text import letter_weight, script_of, scripts_in
from bactrian.written.identifier import is_told, readable, reads_otherwise
from bactrian.written.loops import longest_loop
from bactrian.written.refusals import find_refusal

VERSION = 1
"""Raised when an answer would be judged otherwise than before."""
FOREIGN = 8.0
"""Letters in other scripts (Latin ones, or their weight) that put a line into another language."""
TELLING = 20
"""Grapheme clusters of words, names apart, that it takes to tell the language of a line."""
READ = 240
"""Code points of a line that are read for its language."""
OWN, OTHER = 0.05, 0.7
"""The asked language's probability at most, and another's at least, for a line to be in that."""
LATIN = 4
"""Letters of the shortest Latin word that is out of place: shorter ones are units and symbols."""
HAN = 12
"""Han letters in a row of words without kana or Hangul that are no Japanese and no Korean."""
HIRAGANA = 3
"""Hiragana letters that make a line of Han letters Japanese: they are its grammar."""
REFUSED_WITHIN = 200
"""Grapheme clusters at the beginning in which a refusal is looked for."""
LOOP_SHARE, LOOP_TIMES, LOOP_TOKENS = 0.5, 4, 12
"""Share of an answer that a loop covers, its turns and its tokens, all at least."""

_HAN_ALONE = frozenset({"Hans", "Hant"})
_NEEDED = {"Jpan": frozenset({"Hira", "Kana"}), "Kore": frozenset({"Hang"})}
"""Letters without which a long line in a writing system is another language's."""
_ALSO = {"sr": frozenset({"Latn"})}
"""Scripts that a language is written in as well, by everybody's leave."""
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}\u200c\u200d'’]*+")


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one answer."""

    lines: bool | None
    """Every line of prose that tells its language is in the right one; None where none tells."""
    words: bool | None
    """No word is in another script; None unless ``lines`` is true, as in the benchmark."""
    refused: bool
    empty: bool
    cut: bool
    """It ended at the limit of tokens, not by itself."""
    loops: bool
    shows: str = ""
    """The line or the word that speaks against it."""


@dataclass(frozen=True, slots=True)
class Word:
    """Letters of one script in a row."""

    script: str
    text: str


def judge(
    answer: str, language: Language, known: Collection[str] = (), *, cut: bool = False
) -> Judged:
    """Judge an answer; ``known`` are words, case folded, that may stand in any script."""
    prose = text.prose(answer)
    lines, line = _lines(prose, language, known)
    stray = "" if not lines else next((one.text for one in strays(prose, language, known)), "")
    loop = longest_loop(answer)
    return Judged(
        lines=lines,
        words=not stray if lines else None,
        refused=find_refusal(answer, language.code, REFUSED_WITHIN) is not None,
        empty=text.is_blank(answer),
        cut=cut,
        loops=(
            loop.share >= LOOP_SHARE and loop.times >= LOOP_TIMES and loop.length >= LOOP_TOKENS
        ),
        shows=line or stray,
    )


def words(prose: str) -> Iterator[Word]:
    """Yield the words of a text, parted where the script changes: ``printer`` of ``printerを``.

    Marks and letters of no one script go with the letter before them.
    """
    for found in _WORD.finditer(prose):
        script = ""
        scripts = [script := script_of(char) or script for char in found.group()]
        pairs = zip(scripts, found.group(), strict=True)
        for name, several in groupby(pairs, key=lambda pair: pair[0]):
            if name:
                yield Word(name, "".join(char for _, char in several).rstrip("'’"))


def known_words(*texts: str) -> frozenset[str]:
    """Return every word of the texts as ``judge`` takes them."""
    return frozenset(word.text.casefold() for one in texts for word in words(one))


def strays(prose: str, language: Language, known: Collection[str] = ()) -> Iterator[Word]:
    """Yield the words in other scripts than the language's.

    Latin words only in small letters and of four letters or more: what has capitals is a name or
    an acronym, what is shorter a unit. One Greek letter by itself is a symbol.
    """
    own = _own(language)
    for word in words(prose):
        if word.script in own or word.text.casefold() in known:
            continue
        length = text.grapheme_count(word.text)
        if word.script == "Latn" and (length < LATIN or not word.text.islower()):
            continue
        if word.script == "Grek" and length == 1:
            continue
        yield word


def line_is_in(line: str, language: Language, known: Collection[str] = ()) -> bool | None:
    """Return whether a line of prose is in the language; None where it does not tell."""
    found = [word for word in words(line) if word.text.casefold() not in known]
    own = _own(language)
    weights: dict[str, float] = {}
    for word in found:
        weights[word.script] = weights.get(word.script, 0.0) + letter_weight(word.text)
    foreign = sum(weight for script, weight in weights.items() if script not in own)
    mine = sum(weight for script, weight in weights.items() if script in own)
    if any(strays(line, language, known)) and foreign >= FOREIGN and foreign > mine:
        return False
    if _of_a_neighbour(found, language):
        return False
    if not any(word.script in own for word in words(line)):
        return None
    script = language.script
    if weights.get("Latn", 0.0) * 2 > mine and "Latn" in own:
        script = "Latn"
    if script in _HAN_ALONE or not is_told(script):
        return True
    if _NEEDED.get(script, frozenset()) & weights.keys():
        return True  # kana are Japanese's alone
    read = readable(line[:READ], script, TELLING)
    return None if not read else reads_otherwise(read, language.code, OWN, OTHER) is None


def _lines(prose: str, language: Language, known: Collection[str]) -> tuple[bool | None, str]:
    """Return whether all lines are in the language, and the first that is not."""
    told = False
    for line in prose.splitlines():
        found = line_is_in(line, language, known)
        if found is False:
            return False, line.strip()
        told = told or found is True
    if told:
        return True, ""
    # lists of short words tell together what none tells by itself
    whole = " ".join(prose.split())
    found = line_is_in(whole, language, known)
    return found, whole if found is False else ""


def _of_a_neighbour(found: Collection[Word], language: Language) -> bool:
    """Return whether a line in Han letters is Chinese, Japanese or Korean, and should not be."""
    counts: dict[str, int] = {}
    for word in found:
        counts[word.script] = counts.get(word.script, 0) + len(word.text)
    if language.script in _HAN_ALONE:
        return counts.get("Hira", 0) >= HIRAGANA
    needed = _NEEDED.get(language.script)
    return needed is not None and counts.get("Hani", 0) >= HAN and not needed & counts.keys()


def _own(language: Language) -> frozenset[str]:
    return scripts_in(language.script) | _ALSO.get(language.code, frozenset())
