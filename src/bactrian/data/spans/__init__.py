"""What a translator would break: found, hidden behind short signs, and put back.

`protect` and `restore` keep the context of a sentence; `pieces` and `join` send only what stands
between the spans, and cannot break one. Knows no provider, no row and no file.
"""

from bactrian.data.spans.find import Kind, Quotes, Span, find
from bactrian.data.spans.pieces import Piece, join, pieces
from bactrian.data.spans.signs import Protected, Restored, protect, restore

__all__ = [
    "Kind",
    "Piece",
    "Protected",
    "Quotes",
    "Restored",
    "Span",
    "find",
    "join",
    "pieces",
    "protect",
    "restore",
]
