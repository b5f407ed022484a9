"""Finds the stretch of a text that runs in a loop. Counts tokens in any script."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from bactrian.text import tokens

_LONGEST = 40
"""Longest turn of a loop that is looked for, in tokens."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The longest stretch that repeats itself."""

    first: str
    """The token that a turn begins with."""
    times: float
    share: float
    """Share of all tokens that the loop covers, 0 to 1."""
    length: int
    """Tokens that the loop covers."""


NO_LOOP = Loop("", 0.0, 0.0, 0)


def longest_loop(text: str) -> Loop:
    """Return the loop that covers most of the text; loops of up to 40 tokens a turn."""
    words = tokens(text.casefold())
    count = len(words)
    if count < 4 or len(set(pairwise(words))) > 0.6 * count:
        return NO_LOOP  # most pairs of tokens are new: no room for a loop
    best = NO_LOOP
    for period in range(1, min(_LONGEST, count // 2) + 1):
        run, end = _longest_run(words, period)
        covered = run + period
        if run and covered > best.length:
            best = Loop(words[end - covered + 1], covered / period, covered / count, covered)
    return best


def _longest_run(words: list[str], period: int) -> tuple[int, int]:
    """Length and end of the longest stretch where each token is the one a turn before."""
    run = best = end = 0
    for place in range(period, len(words)):
        run = run + 1 if words[place] == words[place - period] else 0
        if run > best:
            best, end = run, place
    return best, end
