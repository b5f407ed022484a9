"""Finds text in another language of the same script. Knows no vocabulary.

Reads only the letters of the language's own script: what is written in another script is the
business of ``script``. Where one language alone has a script, there is nothing to tell.
"""

from __future__ import annotations

from bactrian.data.checks.row import Checked, flag, prose_of
from bactrian.data.checks.settings import CheckSettings
from bactrian.data.checks.task import excused, kept_quotes
from bactrian.schema import Field, Flag
from bactrian.written.identifier import is_told, readable, reads_otherwise

_FIELDS: tuple[Field, ...] = ("instruction", "output")


def language(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject a row whose instruction or output is clearly in another language.

    Clearly: another one is likely (``language_other``) and the row's own all but ruled out
    (``language_own``). Short text, lists of names and tasks about a language are left alone.
    Without a source, an output in a third language only gets a warning: nobody knows whether
    it was asked for.
    """
    if not is_told(row.language.script):
        return None
    for field in _FIELDS:
        if found := _other(row, field, settings):
            return found
    return None


def _other(row: Checked, field: Field, settings: CheckSettings) -> Flag | None:
    prose = _own_words(row, field)[: settings.language_window]
    read = readable(prose, row.language.script, settings.language_graphemes)
    if not read:
        return None
    found = reads_otherwise(read, row.language.code, settings.language_own, settings.language_other)
    if found is None:
        return None
    best, likely, own = found.best, found.likely, found.own
    if field == "output" and excused(row, best):
        return None
    third = best != "en" and field == "output" and not row.has_source
    reason = f"reads as {best} ({likely:.0%}), expected {row.language.code} ({own:.0%})"
    evidence = getattr(row.example, field).strip()
    return flag("language", "warn" if third else "reject", field, reason, (evidence, 0))


def _own_words(row: Checked, field: Field) -> str:
    """The prose, without what the instruction quotes from the source."""
    prose = prose_of(row, field)
    if field == "instruction" and not row.is_english:
        for start, end in kept_quotes(row.example.instruction, row.source.instruction):
            prose = prose[:start] + " " * (end - start) + prose[end:]
    return prose
