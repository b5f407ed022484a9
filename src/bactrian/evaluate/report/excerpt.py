"""The part of a long text that a page has room for, with a word about the rest."""

from __future__ import annotations

from typing import Literal

from bactrian.text import first_graphemes, grapheme_count

ROOM = 320
"""Characters, as a reader counts them, of a text in a list of questions."""


def excerpt(text: str, lost: Literal["start", "end"], room: int = ROOM) -> str:
    """Return the text, or what is left when its start or end is; says how much that is.

    A context loses its start, since an option follows its end. No character is torn apart.
    """
    if len(text) <= room:
        return text  # code points are never fewer than characters
    count = grapheme_count(text)
    if count <= room:
        return text
    if lost == "end":
        return f"{first_graphemes(text, room).rstrip()} […{count - room:,} more]"
    kept = text[len(first_graphemes(text, count - room)) :]
    return f"[{count - room:,} more…] {kept.lstrip()}"
