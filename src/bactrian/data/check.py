"""Fourth stage: every row is looked at; what is wrong with it is written beside it.

Nothing is dropped here: rejected rows keep their flags and go on. Knows nothing of providers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bactrian import table
from bactrian.data.checks import BUILT_IN, Check, Checked, CheckSettings, check, checks_named
from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.events import emit, track
from bactrian.languages import Language
from bactrian.recipe import Check as CheckSection
from bactrian.schema import Example, Flag
from bactrian.workspace import Workspace

MISSING = "missing"
"""The flag of a row that a provider gave no answer for."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What the stage found; ``rows == kept + rejected``."""

    path: Path
    rows: int
    rejected: int
    reasons: dict[str, int]
    """Rows by the first check that rejected them; the values add up to ``rejected``."""
    warned: dict[str, int]
    """Warnings by check; a row may have several."""

    @property
    def kept(self) -> int:
        """Rows that go into the dataset."""
        return self.rows - self.rejected


def check_rows(workspace: Workspace, language: Language) -> CheckedRows:
    """Write ``stages/checked/<language>.parquet``, every row with its flags."""
    answered = workspace.stage("answered", language.code)
    before = table.info(answered)
    if before is None:
        raise DataError(
            f"{language.name} has no responses yet", "run bactrian respond on this folder first"
        )
    told, limit = workspace.recipe.check, workspace.recipe.limit
    sources = _sources(workspace, min(before.rows, limit or before.rows))
    path = workspace.stage("checked", language.code)
    follows_from = [before.content, sources.content, told.model_dump(mode="json"), limit]
    made_from = table.hash_of("checked", 1, *follows_from)
    found = table.info(path)
    if found is None or found.made_from != made_from:
        checks = checks_of(told)
        facts: dict[str, Any] = {"rejected": 0, "reasons": {}, "warned": {}}
        rows = track(
            _rows(workspace, language, checks, facts), f"check {language.code}", before.rows
        )
        found = table.write(path, rows, made_from, facts)
        emit("made", path=str(path), rows=found.rows)
    return CheckedRows(path, found.rows, **found.facts)


def checks_of(told: CheckSection) -> tuple[Check, ...]:
    """Return the checks that the recipe names, with its thresholds."""
    if unknown := sorted(told.thresholds.keys() - CheckSettings.model_fields.keys()):
        hint = did_you_mean(unknown[0], CheckSettings.model_fields)
        raise ConfigError(f"unknown key check.thresholds.{unknown[0]}", hint)
    try:
        settings = CheckSettings.model_validate(told.thresholds)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise ConfigError(
            f"check.thresholds.{name} = {first['input']!r}: {first['msg']}",
            CheckSettings.model_fields[name].description or "see docs/data.md",
        ) from None
    return checks_named(told.names or BUILT_IN, settings)


def _sources(workspace: Workspace, rows: int) -> table.Info:
    """Return what is said of the English side; raises DataError where it has fewer rows."""
    path = workspace.stage("sources", "en")
    found = table.info(path)
    if found is None or found.rows < rows:
        raise DataError(
            f"{path} holds {found.rows if found else 0} rows, but {rows} have responses",
            "run translate and respond on this folder again, with the same --limit",
        )
    return found


def _rows(
    workspace: Workspace, language: Language, checks: tuple[Check, ...], facts: dict[str, Any]
) -> Iterator[table.Row]:
    reasons, warned = Counter[str](), Counter[str]()
    sources = table.read(workspace.stage("sources", "en"))
    answered = table.read(workspace.stage("answered", language.code))
    paired = zip(sources, answered, strict=False)  # a limit may have stopped the answers earlier
    for source, row in islice(paired, workspace.recipe.limit or None):
        flags = _flags(row.example, source.example, language, checks)
        warned.update(flag.check for flag in flags if flag.severity == "warn")
        grave = next((flag.check for flag in flags if flag.severity == "reject"), None)
        if grave is not None:
            reasons[grave] += 1
        # the caller writes the facts when the last row is drawn
        facts.update(rejected=reasons.total(), reasons=dict(reasons), warned=dict(warned))
        yield table.Row(row.example, flags)


def _flags(
    example: Example, source: Example, language: Language, checks: tuple[Check, ...]
) -> tuple[Flag, ...]:
    if example.id != source.id:
        raise DataError(
            f"the rows of {language.name} are not in the order of the sources: "
            f"{example.id} stands where {source.id} should",
            "run translate and respond again on this folder",
        )
    if example.missing:
        return (Flag(MISSING, "reject", "output", example.missing),)
    return check(Checked(example, source, language), checks)
