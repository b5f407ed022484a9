"""The texts between the spans, to be translated one by one. A span cannot be broken this way.

What a sentence loses is its context, so this is the second choice, after `signs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bactrian.data.spans.find import Quotes, find, merged

_SPACE = re.compile(r"\s*")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a text: to be translated, or to be left as it is."""

    text: str
    """Without the white space around it."""
    sent: bool
    """Whether a translator has to see it; a span, and what has no letter, is left."""
    before: str = ""
    """White space that comes before it and stays."""
    after: str = ""
    """White space that comes after it and stays."""


def pieces(
    text: str, *, quoted: Quotes = "mentioned", also: Iterable[tuple[int, int]] = ()
) -> tuple[Piece, ...]:
    """Return a text cut at its protected spans; the parameters are those of `find`.

    The texts to translate are those of the pieces that are ``sent``, in order.
    """
    out = []
    done = 0
    for span in merged(text, find(text, quoted=quoted, also=also)):
        out += [*_piece(text[done : span.start]), Piece(span.text, sent=False)]
        done = span.end
    return (*out, *_piece(text[done:]))


def _piece(text: str) -> Iterator[Piece]:
    if not text:
        return
    core = text.strip()
    if not _LETTER.search(core):
        yield Piece(text, sent=False)
        return
    start = text.index(core)
    yield Piece(core, True, text[:start], text[start + len(core) :])


def join(cut: Iterable[Piece], translated: Sequence[str]) -> str:
    """Return the text put together again, from one translation for each piece that was sent.

    White space around a translation gives way to that of the source. Raises ValueError where
    the numbers differ.
    """
    cut = tuple(cut)
    sent = sum(piece.sent for piece in cut)
    if sent != len(translated):
        raise ValueError(f"{sent} pieces were sent, {len(translated)} came back")
    answers = iter(translated)
    return "".join(
        f"{piece.before}{next(answers).strip()}{piece.after}" if piece.sent else piece.text
        for piece in cut
    )
