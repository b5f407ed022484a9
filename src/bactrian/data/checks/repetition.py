"""Finds an output that runs in a loop. Counts tokens in any script, knows no language."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.schema import Flag
from bactrian.text import code_share, tokens

_LONGEST = 40
"""Longest turn of a loop that is looked for, in tokens."""
_NOTICEABLE = 0.2
"""How much more of the output than of the source's a loop has to cover."""


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


def repetition(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject an output most of which is the same few tokens again and again.

    Not where the English source repeats itself as much (refrains, drills, tables), nor in code.
    """
    loop = longest_loop(row.example.output)
    if not _degenerate(loop, settings):
        return None
    if code_share(row.example.output) > settings.repetition_share:
        return None  # lines of code are alike in their words and differ in the rest
    if not row.is_english:
        source = longest_loop(row.source.output)
        if source.share + _NOTICEABLE > loop.share:
            return None
    reason = f"a loop of {loop.times:.0f} turns covers {loop.share:.0%} of the output"
    start = max(row.example.output.find(loop.first), 0)
    return flag("repetition", "reject", "output", reason, (row.example.output[start:], start))


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


def _degenerate(loop: Loop, settings: CheckSettings) -> bool:
    return (
        loop.share >= settings.repetition_share
        and loop.times >= settings.repetition_times
        and loop.length >= settings.repetition_tokens
    )
