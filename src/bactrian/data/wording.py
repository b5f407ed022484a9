"""How an instruction and its input are put to a translator, and read back from what it said.

First way: both in one text, so that each is the other's context, with a short sign for whatever
must come back as it was. Where a sign came back broken, the second way: only the pieces between
the protected spans, each alone. A translator that takes texts whole gets the two as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from bactrian.data.spans import Piece, Protected, Restored, join, pieces, protect, restore

BORDER = "\x1e"
"""Stands between instruction and input; a sign hides it from the translator (record separator)."""
BORDER_LOST = "the border between instruction and input"


@dataclass(frozen=True, slots=True)
class Translated:
    """What was read back; ``broken`` is what did not come back as it was, else empty."""

    instruction: str
    input: str
    broken: str = ""


@dataclass(frozen=True)
class Wording:
    """One row's two texts, and what of them a translator is to see."""

    # no slots: cached_property writes to __dict__

    instruction: str
    input: str
    how: Literal["signs", "whole"] = "signs"
    keep_input: bool = False
    """The input stays in English."""
    kept: tuple[tuple[int, int], ...] = ()
    """Stretches of the instruction (start, end) that stay in English, too."""

    def texts(self) -> tuple[str, ...]:
        """Return what is sent the first way; nothing where nothing is left to translate."""
        if self.how == "whole":
            return self.instruction, "" if self.keep_input else self.input
        protected = self._protected
        return () if protected.nothing_left else (protected.masked,)

    def read(self, answers: Sequence[str]) -> Translated:
        """Return what came back the first way."""
        if self.how == "whole":
            instruction, input = answers
            return Translated(instruction, self.input if self.keep_input else input)
        restored = restore(answers[0], self._protected.spans)
        broken = _broken(restored)
        if not self._joined:
            return Translated(restored.text.strip(), self.input, broken)
        before, border, after = restored.text.partition(BORDER)
        if not (border and before.strip() and after.strip()) or BORDER in after:
            broken = broken or BORDER_LOST
        return Translated(before.strip(), after.strip(), broken)

    def pieces(self) -> tuple[str, ...]:
        """Return what is sent the second way."""
        instruction, input = self._cut()
        return tuple(piece.text for piece in (*instruction, *input) if piece.sent)

    def read_pieces(self, answers: Sequence[str]) -> Translated:
        """Return what came back the second way; nothing can be broken in it."""
        instruction, input = self._cut()
        border = sum(piece.sent for piece in instruction)
        return Translated(join(instruction, answers[:border]), join(input, answers[border:]))

    @property
    def _joined(self) -> bool:
        return bool(self.input.strip()) and not self.keep_input

    @cached_property
    def _protected(self) -> Protected:
        if not self._joined:
            return _protect(self.instruction, self.kept)
        before = self.instruction.replace(BORDER, " ")
        text = f"{before}\n\n{BORDER}\n\n{self.input.replace(BORDER, ' ')}"
        place = len(before) + 2
        return _protect(text, (*self.kept, (place, place + 1)))

    def _cut(self) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        instruction = pieces(self.instruction, also=self.kept)
        if self.keep_input:
            return instruction, (Piece(self.input, sent=False),) if self.input else ()
        return instruction, pieces(self.input)


@lru_cache(maxsize=1 << 17)
def _protect(text: str, also: tuple[tuple[int, int], ...]) -> Protected:
    """The same for every language and every pass over the rows; at most some 80 MB of memory."""
    return protect(text, also=also)


def _broken(restored: Restored) -> str:
    """The first thing that did not come back once, for the report; empty where all did."""
    for span in (*restored.lost, *restored.doubled):
        return span.text.replace(BORDER, "").strip() or BORDER_LOST
    return next(iter(restored.invented), "")
