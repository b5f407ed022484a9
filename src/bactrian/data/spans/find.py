"""Where the text is that no translator should touch. Knows nothing of signs and translators.

Boundaries are those of ASCII words, never of ``\\w``: in Thai or Chinese an address or a file
name stands between letters without a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bactrian.data.spans.numbers import numbers
from bactrian.data.spans.patterns import ANY, FILLER, code, marked
from bactrian.data.spans.quotes import Look, every, mentioned, no

Kind = Literal[
    "code",
    "formula",
    "url",
    "email",
    "markup",
    "placeholder",
    "name",
    "number",
    "quote",
]
Quotes = Literal["mentioned", "all", "none"]
"""Which quotations are left as they are: those that the task is about, all, or none."""

_LINE_GAP = re.compile(r"[ \t]*[,;/|]?[ \t]*|\s*")
"""Between two spans that are hidden behind one sign."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text that is left as it is; offsets in code points."""

    start: int
    end: int
    kind: Kind
    text: str
    """What stands there."""


Found = tuple[int, int, Kind]


def find(
    text: str, *, quoted: Quotes = "mentioned", also: Iterable[tuple[int, int]] = ()
) -> tuple[Span, ...]:
    """Return the spans of a text in order and without overlap.

    ``also`` are stretches (start, end) that the caller wants left as they are; they come back
    with the kind ``quote``.
    """
    wanted: list[Found] = [(max(0, start), min(end, len(text)), "quote") for start, end in also]
    found = _apart([], [one for one in wanted if one[0] < one[1]])
    if not found and not ANY.search(text):
        return ()
    rest = text
    for look in (code, _quotations(quoted), marked, numbers):
        rest = _without(rest, found)
        new = [one for one in look(rest) if one[0] < one[1]]
        # a quotation swallows what stands in it, so it is looked for before the rest
        found = _apart(found, new)
    return tuple(Span(start, end, kind, text[start:end]) for start, end, kind in found)


def merged(text: str, spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the spans with neighbours made one; the kind is that of the longest part."""
    out: list[Span] = []
    longest = 0
    for span in spans:
        if out and _LINE_GAP.fullmatch(text, out[-1].end, span.start):
            last = out[-1]
            longer = span.end - span.start > longest
            kind = span.kind if longer else last.kind
            longest = max(longest, span.end - span.start)
            out[-1] = Span(last.start, span.end, kind, text[last.start : span.end])
        else:
            out.append(span)
            longest = span.end - span.start
    return tuple(out)


def _quotations(quoted: Quotes) -> Look:
    return {"mentioned": mentioned, "all": every, "none": no}[quoted]


def _without(text: str, found: list[Found]) -> str:
    """The text with a filler for every character of the spans, as long as it was."""
    if not found:
        return text
    parts, done = [], 0
    for start, end, _ in found:
        parts += [text[done:start], FILLER * (end - start)]
        done = end
    return "".join([*parts, text[done:]])


def _apart(found: list[Found], new: list[Found]) -> list[Found]:
    """Both together in order; what overlaps is joined, and the longer names the kind."""
    if not new:
        return found
    out: list[Found] = []
    for start, end, kind in sorted([*found, *new]):
        if out and start < out[-1][1]:
            first, last, was = out[-1]
            out[-1] = (first, max(last, end), kind if end - start > last - first else was)
        else:
            out.append((start, end, kind))
    return out
