"""Finds an output that runs in a loop. Counts tokens in any script, knows no language."""

from __future__ import annotations

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.schema import Flag
from bactrian.text import code_share
from bactrian.written.loops import Loop, longest_loop

_NOTICEABLE = 0.2
"""How much more of the output than of the source's a loop has to cover."""


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


def _degenerate(loop: Loop, settings: CheckSettings) -> bool:
    return (
        loop.share >= settings.repetition_share
        and loop.times >= settings.repetition_times
        and loop.length >= settings.repetition_tokens
    )
