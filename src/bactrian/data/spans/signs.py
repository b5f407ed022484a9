"""Short signs that stand for protected spans while a text is translated.

A sign is written ``[X0X]``. Of 25 forms measured with Apertium it is among those that always came
back, and it has no character that a small vocabulary lacks: mBART-50 has no token for ``⟦``.
It is read liberally (other digits, brackets, case, look-alike letters, spaces, direction marks)
and counted strictly: each exactly once, or the translation is broken.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

from bactrian.data.spans.find import Quotes, Span, find, merged

_UNSEEN = r"[\s\p{Default_Ignorable_Code_Point}]*+"
_CROSS = r"[XxХхΧχ×ＸｘⅩ✕]"
_SIGN = regex.compile(
    rf"""
      [\[\]［］【】〔〕⟦⟧\(\)（）\{{\}}｛｝]{_UNSEEN}
      (?:{_CROSS}{_UNSEEN}(?P<number>\p{{Nd}}{{1,6}}){_UNSEEN}{_CROSS}
        |(?P<word>\p{{L}}[\p{{L}}\p{{M}}]{{0,5}}){_UNSEEN}
         (?P<number>\p{{Nd}}{{1,6}}){_UNSEEN}(?P=word))
      {_UNSEEN}[\[\]［］【】〔〕⟦⟧\(\)（）\{{\}}｛｝]
    | (?<![\p{{L}}\p{{M}}\p{{N}}_]){_CROSS}(?P<number>\p{{Nd}}{{1,6}}){_CROSS}
      (?![\p{{L}}\p{{M}}\p{{N}}_])
    """,
    regex.VERBOSE,
)
_MAYBE_SIGN = regex.compile(r"\p{Nd}\P{Nd}")
_LETTER = regex.compile(r"\p{L}")


@dataclass(frozen=True, slots=True)
class Protected:
    """A text with a sign in place of each span."""

    masked: str
    """What is sent; the text itself where nothing needs protection."""
    spans: tuple[Span, ...]
    """What the signs stand for; the sign's number is the place in this tuple."""

    @property
    def nothing_left(self) -> bool:
        """No letter is left to translate beside the signs."""
        return not _LETTER.search(_SIGN.sub("", self.masked) if self.spans else self.masked)


@dataclass(frozen=True, slots=True)
class Restored:
    """A translation with the spans back in their places, and what went wrong with the signs."""

    text: str
    """Signs that are known are replaced wherever they stand; invented ones are left."""
    lost: tuple[Span, ...] = ()
    """Spans whose sign did not come back."""
    doubled: tuple[Span, ...] = ()
    """Spans whose sign came back more than once."""
    invented: tuple[str, ...] = ()
    """Signs that came back and were never sent."""

    @property
    def whole(self) -> bool:
        """Every sign came back exactly once."""
        return not (self.lost or self.doubled or self.invented)


def protect(
    text: str, *, quoted: Quotes = "mentioned", also: Iterable[tuple[int, int]] = ()
) -> Protected:
    """Return the text with a sign for each protected span; the parameters are those of `find`.

    Spans with nothing but a comma or white space between them share a sign. What looks like a
    sign in the text itself becomes a span, so that every sign in ``masked`` is one of ours.
    """
    spans = merged(text, find(text, quoted=quoted, also=also))
    if not spans and not _MAYBE_SIGN.search(text):
        return Protected(text, ())
    while True:
        masked, places = _masked(text, spans)
        strays = [span for span in _signs(masked) if span not in places]
        if not strays:
            return Protected(masked, spans)
        spans = _widened(text, spans, places, strays)


def restore(translated: str, spans: Sequence[Span]) -> Restored:
    """Return the translation with the spans put back, and every sign that is not there once."""
    if not spans and not _MAYBE_SIGN.search(translated):
        return Restored(translated)
    seen: Counter[int] = Counter()
    invented: list[str] = []

    def put_back(found: regex.Match[str]) -> str:
        number = _number(found["number"])
        if number >= len(spans):
            invented.append(found[0])
            return found[0]
        seen[number] += 1
        return spans[number].text

    text = _SIGN.sub(put_back, translated)
    lost = tuple(span for number, span in enumerate(spans) if not seen[number])
    doubled = tuple(span for number, span in enumerate(spans) if seen[number] > 1)
    return Restored(text, lost, doubled, tuple(invented))


def _masked(text: str, spans: Sequence[Span]) -> tuple[str, list[tuple[int, int]]]:
    """The text with its signs, and where in it they stand."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    done = length = 0
    for number, span in enumerate(spans):
        sign = f"[X{number}X]"
        length += span.start - done
        parts += [text[done : span.start], sign]
        places.append((length, length + len(sign)))
        length += len(sign)
        done = span.end
    return "".join([*parts, text[done:]]), places


def _signs(masked: str) -> list[tuple[int, int]]:
    return [found.span() for found in _SIGN.finditer(masked)]


def _widened(
    text: str,
    spans: Sequence[Span],
    places: Sequence[tuple[int, int]],
    strays: Iterable[tuple[int, int]],
) -> tuple[Span, ...]:
    """The spans with what reads as a sign and is none; each round hides more of the text."""
    edges: list[tuple[int, int]] = [(span.start, span.end) for span in spans]
    for start, end in strays:
        edges.append((_in_text(start, spans, places, 0), _in_text(end, spans, places, 1)))
    kinds = {(span.start, span.end): span.kind for span in spans}
    out: list[Span] = []
    for start, end in sorted(edges):
        if out and start < out[-1].end:
            last = out.pop()
            start, end = last.start, max(end, last.end)
        out.append(Span(start, end, kinds.get((start, end), "placeholder"), text[start:end]))
    return tuple(out)


def _in_text(
    place: int, spans: Sequence[Span], places: Sequence[tuple[int, int]], side: int
) -> int:
    """Where a place of the masked text is in the text; inside a sign, the span's edge."""
    shift = 0
    for span, (start, end) in zip(spans, places, strict=True):
        if place <= start:
            break
        if place < end:
            return span.end if side else span.start
        shift = span.end - end
    return place + shift


def _number(digits: str) -> int:
    """The value of decimal digits of any script."""
    return int("".join(str(unicodedata.decimal(digit)) for digit in digits))
