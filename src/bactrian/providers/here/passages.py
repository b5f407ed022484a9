"""Cuts a text into passages that a translation model can take, and puts the translations together.

Such models read one line, are trained on sentences, and leave out what comes after the first of
several. So lines are cut at sentence ends, in any script; what is longer than the model's window
is cut at clauses, then at spaces, then between grapheme clusters. Nothing is lost: the parts
together are the text. Knows no model: how much fits is a function that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import regex

from bactrian.text import UNSPACED

Size = Callable[[str], int]
"""Tokens of a passage, those that the model adds included."""
Stretch = tuple[int, int]

RULES = 1
"""Raised when a text would be cut otherwise than before: it is in every key."""
NO_SPACE_BETWEEN_SENTENCES = frozenset({"Hans", "Hant", "Jpan"})
"""Scripts with a full stop that is a space of its own; Thai, Khmer and Burmese put a space."""

_LINE_END = regex.compile(r"(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")
_MARK = regex.compile(r"\s*(?:(?:[-*+•‣◦·–—]|#{1,6}|\(?(?:\p{Nd}{1,3}|[A-Za-z])[.)])\s+)?")
"""White space and the mark of a list or heading, which no model has to see."""
_WORDS = regex.compile(rf"\p{{L}}\p{{M}}*\p{{L}}|[{UNSPACED}]|\p{{Hangul}}")
"""Two letters together, or one of a script whose words may be one letter long."""
_SENTENCE_END = regex.compile(
    r"""
      (?P<wide>[。！？｡．︒]+[\p{Pe}\p{Pf}"']*)
    | (?P<mark>[[\p{Sentence_Terminal}…]--[.。！？｡．︒၊]]+[.]*[\p{Pe}\p{Pf}"']*)(?=\s)
    | (?P<stop>[.]+[\p{Pe}\p{Pf}"']*)(?=\s)
    """,
    regex.VERBOSE | regex.V1,
)
_NEXT = regex.compile(r"\s*[\p{Ps}\p{Pi}\"'¿¡]*(?P<letter>\S)?")
_GOES_ON = regex.compile(r"[\p{Lowercase}--\p{Georgian}]", regex.V1)
"""What no sentence begins with; Georgian is written in letters that Unicode calls lower case."""
_WORD_BEFORE = regex.compile(r"[\p{L}\p{M}\p{N}.]+\Z")
_INITIALS = regex.compile(r"\p{L}(?:\.\p{L})*")
_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "no", "fig", "jr", "sr", "gen", "col", "capt"}
    | {"lt", "rev", "hon", "cf", "vol", "pp", "approx"}
)
_LEVELS = (
    regex.compile(r"(?<=[,;:،؛、，；：·—–])\s*|(?<=[\p{Pe}\p{Pf}])\s+"),
    regex.compile(r"\s+|\u200b"),
    regex.compile(r"\X\K"),
)
"""Where a sentence that is too long is cut: after clauses, between words, between clusters."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text: a passage for the model, or what stays as it is."""

    text: str
    sent: bool
    """Whether the model has to see it."""
    space: bool = False
    """White space within a line (or its absence) between two passages: the target says how."""


def cut(text: str, size: Size, room: int, *, together: bool = False) -> tuple[Part, ...]:
    """Return the parts of a text, which joined are the text; no passage is larger than ``room``.

    With ``together`` a passage is as many sentences of a line as fit, else it is one sentence.
    A single grapheme cluster is never cut.
    """
    parts: list[Part] = []
    for number, piece in enumerate(_LINE_END.split(text)):
        if number % 2:
            parts.append(Part(piece, sent=False))
        else:
            parts += _line(piece, size, room, together)
    return tuple(part for part in parts if part.text or part.space)


def join(parts: Sequence[Part], translated: Mapping[str, str], script: str) -> str:
    """Return the text put together from its parts, the passages by their translations."""
    return "".join(
        translated[part.text]
        if part.sent
        else _space(part.text, script)
        if part.space
        else part.text
        for part in parts
    )


def _space(text: str, script: str) -> str:
    if script in NO_SPACE_BETWEEN_SENTENCES:
        return ""
    return text or " "


def _line(line: str, size: Size, room: int, together: bool) -> Iterator[Part]:
    mark = _MARK.match(line)
    start = mark.end() if mark else 0
    end = len(line.rstrip())
    if not _WORDS.search(line, start):
        yield Part(line, sent=False)
        return
    yield Part(line[:start], sent=False)
    done = start
    for first, last in _passages(line, (start, end), size, room, together):
        if done > start:
            yield Part(line[done:first], sent=False, space=True)
        yield Part(line[first:last], sent=bool(_WORDS.search(line, first, last)))
        done = last
    yield Part(line[done:], sent=False)


def _passages(
    line: str, whole: Stretch, size: Size, room: int, together: bool
) -> Iterator[Stretch]:
    sentences = list(_between(line, whole, _sentence_gaps(line, whole)))
    if together:
        yield from _packed(line, sentences, size, room, 0)
        return
    for sentence in sentences:
        yield from _packed(line, [sentence], size, room, 0)


def _packed(
    line: str, pieces: Sequence[Stretch], size: Size, room: int, level: int
) -> Iterator[Stretch]:
    """Yield as few stretches as fit; a piece that is too large itself is cut at the next level."""
    held: Stretch | None = None
    for first, last in pieces:
        if held is not None and size(line[held[0] : last]) <= room:
            held = held[0], last
            continue
        if held is not None:
            yield held
        held = first, last
        if level < len(_LEVELS) and size(line[first:last]) > room:
            gaps = (match.span() for match in _LEVELS[level].finditer(line, first, last))
            smaller = list(_between(line, held, gaps))
            *before, held = _packed(line, smaller, size, room, level + 1)
            yield from before
    if held is not None:
        yield held


def _between(line: str, whole: Stretch, gaps: Iterator[Stretch]) -> Iterator[Stretch]:
    """Yield what lies between the gaps."""
    done, end = whole
    for first, last in gaps:
        if done < first and last < end:
            yield done, first
            done = last
    yield done, end


def _sentence_gaps(line: str, whole: Stretch) -> Iterator[Stretch]:
    """Yield the white space, or nothing, between the sentences of a line."""
    for found in _SENTENCE_END.finditer(line, *whole):
        following = _NEXT.match(line, found.end())
        letter = following["letter"] if following else None
        if letter is None or (found["wide"] is None and _GOES_ON.match(letter)):
            continue
        if found["stop"] and _is_abbreviation(line[whole[0] : found.start("stop")]):
            continue
        end = found.end()
        yield end, end + len(line[end:]) - len(line[end:].lstrip())


def _is_abbreviation(before: str) -> bool:
    """Whether the full stop after these words belongs to the last of them."""
    word = _WORD_BEFORE.search(before[-24:])
    if word is None:
        return False
    last = word[0].strip(".").casefold()
    alone = last.isdecimal() and word.start() == 0 and len(before) <= 24
    return alone or last in _ABBREVIATIONS or bool(_INITIALS.fullmatch(last))
