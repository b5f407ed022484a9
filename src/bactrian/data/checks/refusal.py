"""Finds answers that refuse, or that speak as a model."""

from __future__ import annotations

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.schema import Flag
from bactrian.written.refusals import find_refusal


def refusal(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject an output that refuses or speaks as a model, in its language or in English.

    Looks at the first ``refusal_graphemes`` clusters. Only warns where the English source's
    own output does the same: then that is the answer asked for, or the source is at fault.
    """
    span = find_refusal(row.example.output, row.language.code, settings.refusal_graphemes)
    if span is None:
        return None
    shared = not row.is_english and find_refusal(
        row.source.output, "en", settings.refusal_graphemes
    )
    if shared:
        reason = "the answer refuses or speaks as a model, as the English source does"
        return flag("refusal", "warn", "output", reason, span)
    return flag("refusal", "reject", "output", "the answer refuses or speaks as a model", span)
