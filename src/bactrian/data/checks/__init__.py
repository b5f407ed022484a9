"""Looks at finished rows and says what is wrong with them. Keeps and drops nothing itself.

A check is a function ``(row: Checked) -> Flag | None`` in a file of its own. The built-in ones
are listed in `BUILT_IN`, in the order in which they run; all of them run on every row and
every flag is kept. What to do with a flagged row is for the caller to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bactrian.data.checks.empty import empty
from bactrian.data.checks.language import language
from bactrian.data.checks.length import length
from bactrian.data.checks.refusal import refusal
from bactrian.data.checks.repetition import repetition
from bactrian.data.checks.row import Check, Checked
from bactrian.data.checks.script import script
from bactrian.data.checks.settings import CheckSettings
from bactrian.data.checks.untranslated import untranslated
from bactrian.errors import ConfigError, did_you_mean
from bactrian.schema import Flag

__all__ = ["BUILT_IN", "Check", "CheckSettings", "Checked", "check", "checks_named", "is_rejected"]

BuiltIn = Callable[[Checked, CheckSettings], Flag | None]
"""A check that takes its thresholds from the settings."""

BUILT_IN: dict[str, BuiltIn] = {
    "empty": empty,
    "script": script,
    "language": language,
    "untranslated": untranslated,
    "refusal": refusal,
    "length": length,
    "repetition": repetition,
}
"""The checks by name, in the order in which they run."""


def checks_named(
    names: Iterable[str] | None = None, settings: CheckSettings | None = None
) -> tuple[Check, ...]:
    """Return the built-in checks of these names, or all, with their thresholds set.

    They come in the order of `BUILT_IN`, however they are named. Raises ConfigError for a
    name that is not there.
    """
    wanted = set(BUILT_IN if names is None else names)
    if unknown := sorted(wanted - BUILT_IN.keys()):
        raise ConfigError(f"unknown check {unknown[0]!r}", did_you_mean(unknown[0], BUILT_IN))
    limits = settings or CheckSettings()
    return tuple(_with(BUILT_IN[name], limits) for name in BUILT_IN if name in wanted)


def _with(function: BuiltIn, settings: CheckSettings) -> Check:
    return lambda row: function(row, settings)


def check(row: Checked, checks: Iterable[Check]) -> tuple[Flag, ...]:
    """Run every check on the row and return what they found, in the order of the checks."""
    return tuple(found for one in checks if (found := one(row)) is not None)


def is_rejected(flags: Iterable[Flag]) -> bool:
    """Say whether any of the flags is a reason to reject the row."""
    return any(found.severity == "reject" for found in flags)
