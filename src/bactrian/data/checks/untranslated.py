"""Finds fields that are still the English of the source. Compares words, knows no language."""

from __future__ import annotations

from bactrian.data.checks.row import Checked, flag
from bactrian.data.checks.settings import CheckSettings
from bactrian.data.checks.task import (
    about_code,
    asks_to_translate,
    has_words,
    is_neutral,
    kept_quotes,
    languages_named,
    reads_as_english,
    works_on_english,
)
from bactrian.schema import Field, Flag, Severity
from bactrian.text import code_share, letter_weight, normalise, tokens

_MOSTLY = 0.5
"""Share of an output that is code for the whole to count as code."""


def untranslated(row: Checked, settings: CheckSettings) -> Flag | None:
    """Find what was not translated: the instruction, the output, then the input.

    An instruction or an output equal to the source's, or made of its words, is rejected,
    unless it is the same in every language (numbers, code, addresses, names). An input kept
    in English, and an output that only repeats the input, are worth a look.
    """
    if row.is_english:
        return None
    return _instruction(row, settings) or _output(row, settings) or _input(row)


def _instruction(row: Checked, settings: CheckSettings) -> Flag | None:
    given = row.example.instruction
    source = row.source.instruction
    # a sentence to work on may be quoted as it is; what is asked about it may not
    if normalise(given) != normalise(source) and not _shares(_unquoted(row), source, settings):
        return None
    if not has_words(row.instruction_prose):
        return None
    return _flag(row, "instruction", "reject", "the instruction is still in English")


def _output(row: Checked, settings: CheckSettings) -> Flag | None:
    given = row.example.output
    task = row.source.instruction
    if asks_to_translate(task) or "en" in languages_named(task):
        return None
    source = row.source.output
    if normalise(given) != normalise(source) and not _shares(row.output_prose, source, settings):
        return None
    if is_neutral(given, labels=row.language.script != "Latn"):
        return None
    special = about_code(task) or languages_named(task) or code_share(given) > _MOSTLY
    if special and not reads_as_english(given):
        return None
    if works_on_english(row):
        return _flag(row, "output", "warn", "the output is in English, as is what it works on")
    return _flag(row, "output", "reject", "the output is still in English")


def _input(row: Checked) -> Flag | None:
    given = normalise(row.example.input)
    source = normalise(row.source.input)
    if not given:
        return None
    if given == source:
        if is_neutral(row.example.input):
            return None
        return _flag(row, "input", "warn", "the input was kept in English")
    if given == normalise(row.example.output) and source != normalise(row.source.output):
        reason = "the output repeats the input: translating may have mended what was to be mended"
        return _flag(row, "input", "warn", reason)
    return None


def _flag(row: Checked, field: Field, severity: Severity, reason: str) -> Flag:
    return flag("untranslated", severity, field, reason, (getattr(row.example, field).strip(), 0))


def _unquoted(row: Checked) -> str:
    """The instruction's prose without the quotations it shares with the source, if any is left."""
    rest = row.instruction_prose
    for start, end in kept_quotes(row.example.instruction, row.source.instruction):
        rest = rest[:start] + " " * (end - start) + rest[end:]
    return rest if any(map(str.isalpha, rest)) else row.instruction_prose


def _shares(prose: str, source: str, settings: CheckSettings) -> bool:
    """Nearly all letters of the prose stand in words that the English text has."""
    if len(prose.encode("ascii", "ignore")) * 3 < len(prose):
        return False  # too few letters that could be English; most rows end here
    known = frozenset(tokens(source.casefold()))
    words = [word for word in tokens(prose.casefold()) if not word.isnumeric()]
    if len(words) < settings.untranslated_words:
        return False
    common = [word for word in words if word in known]
    if len(common) * 3 < len(words):
        return False
    shared = sum(map(letter_weight, common))
    return shared >= settings.untranslated_share * sum(map(letter_weight, words))
