"""Finds rows with nothing to read in the instruction or in the output."""

from __future__ import annotations

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.schema import Flag
from bactrian.text import is_blank


def empty(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject a row whose instruction or output holds only space or invisible characters.

    There is no threshold in this; ``settings`` is taken because every built-in check takes it.
    """
    if is_blank(row.example.instruction):
        return flag("empty", "reject", "instruction", "the instruction is empty")
    if not is_blank(row.example.output):
        return None
    if is_blank(row.source.output):
        reason = "the output is empty, as it is in the English source"
    else:
        reason = "the output is empty"
    return flag("empty", "reject", "output", reason)
