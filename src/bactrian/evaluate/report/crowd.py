"""What a page shows of very many models: those of several languages, and each language's own.

Fifty adapters in fifty languages are thousands of numbers a task; the files have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bactrian.evaluate.report.content import AVERAGES, Report

CROWD = 12
"""Models beyond which a page does not show everybody's every number."""
OWN = "its own adapter"
"""What the adapter trained on a row's language alone is called there."""


def thinned(report: Report) -> Report:
    """Return the report as a page shows it; the very same where there are few models.

    Of an adapter trained on one language alone it keeps that language and the averages. Whatever
    is left out is counted in the notes.
    """
    alone = single(report)
    if len({one.model for one in report.scores}) <= CROWD or len(alone) < 2:
        return report
    differences = tuple(
        one
        for one in report.differences
        if alone.get(one.model, one.language) == one.language or one.language in AVERAGES
    )
    scores = tuple(
        replace(one, model=OWN) if one.model in alone else one
        for one in report.scores
        if alone.get(one.model, one.language) == one.language
    )
    left = len(report.scores) + len(report.differences) - len(scores) - len(differences)
    note = (
        f"{len(alone)} adapters of one language each are shown in their own language only; the "
        f"files in tables/ have the other {left:,} numbers, too."
    )
    return replace(report, scores=scores, differences=differences, notes=(note, *report.notes))


def single(report: Report) -> Mapping[str, str]:
    """Return each adapter that was trained on nothing but one language, and that language."""
    return {one.name: one.languages[0] for one in report.adapters if len(one.languages) == 1}
