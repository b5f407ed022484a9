"""Finds outputs far longer or shorter than the English one lets expect.

How long a language is beside English was measured on parallel sentences (``lengths.toml``).
Knows nothing of what is said.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.schema import Flag, Severity
from bactrian.text import grapheme_count, visible


def length(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject an output of absurd length beside the English one, warn of an unusual one.

    Lengths are grapheme clusters of the prose, so that code, which is as long in every
    language, says nothing. Text kept as it is (names) counts as expected, too. A short text
    says little: one side must have ``length_graphemes``, in English measure.
    """
    if row.is_english:
        return None
    given, source = _lengths(row)
    if not given or not source:
        return None
    usual = expected_ratio(row.language.code)
    # between a translation and a copy of the English anything may be mixed
    low, high = min(usual, 1.0) * source, max(usual, 1.0) * source
    if max(given / usual, source) < settings.length_graphemes:
        return None
    times = low / given if given < low else given / high
    severity = _severity(times, settings)
    if severity is None:
        return None
    reason = (
        f"{given} characters where about {usual * source:.0f} are expected "
        f"({source} in English, {row.language.code} takes {usual:.2f} of that)"
    )
    return flag("length", severity, "output", reason, (row.example.output, 0))


def _lengths(row: Checked) -> tuple[int, int]:
    """Lengths of the output and of the English one: of the prose, or of all where it is code."""
    left = len("".join(row.source_output_prose.split()))
    if left * 2 < len("".join(row.source.output.split())):
        return prose_length(row.example.output), prose_length(row.source.output)
    return prose_length(row.output_prose), prose_length(row.source_output_prose)


def prose_length(prose: str) -> int:
    """Return the visible grapheme clusters of a text, runs of space counted as one."""
    return grapheme_count(" ".join(visible(prose).split()))


def expected_ratio(code: str) -> float:
    """Return the usual length of the language beside English; 1 where it was not measured."""
    return _ratios().get(code, 1.0)


def _severity(times: float, settings: CheckSettings) -> Severity | None:
    if times > settings.length_reject:
        return "reject"
    return "warn" if times > settings.length_warn else None


@lru_cache(maxsize=1)
def _ratios() -> dict[str, float]:
    table = tomllib.loads(Path(__file__).with_name("lengths.toml").read_text(encoding="utf-8"))
    return {code: float(row["median"]) for code, row in table["ratio"].items()}
