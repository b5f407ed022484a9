"""Which way a text runs. A base may answer Arabic in English: the text decides."""

from __future__ import annotations

import unicodedata

from bactrian.evaluate.report.content import Direction


def direction(text: str, otherwise: Direction) -> Direction:
    """Return which way a text runs by its first letter; ``otherwise`` where it has none."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return otherwise
