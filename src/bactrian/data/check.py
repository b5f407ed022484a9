"""Fourth stage: every row is looked at; what is wrong with it is written beside it.

Nothing is dropped here: rejected rows keep their flags and go on. Knows nothing of providers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bactrian import table
from bactrian.data.checks import BUILT_IN, Check, Checked, CheckSettings, check, checks_named
from bactrian.data.marks import DEFECT
from bactrian.data.translate import own_ids
from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.events import emit, track
from bactrian.languages import Language, get
from bactrian.recipe import Check as CheckSection
from bactrian.schema import Example, Flag, Severity
from bactrian.workspace import Workspace

NO_SOURCE = Example("", "en", "", "", "")
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
    sources = table.info(workspace.stage("sources", "en"))
    if sources is None:
        raise DataError("there are no sources", "run bactrian collect on this folder first")
    path = workspace.stage("checked", language.code)
    follows_from = [before.content, sources.content, told.model_dump(mode="json"), limit]
    made_from = table.hash_of("checked", 2, *follows_from)
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


def _rows(
    workspace: Workspace, language: Language, checks: tuple[Check, ...], facts: dict[str, Any]
) -> Iterator[table.Row]:
    reasons, warned = Counter[str](), Counter[str]()
    defects: Severity = workspace.recipe.check.defects
    english = get("en")
    for source, row in _paired(workspace, language):
        spoken = english if row.example.kept else language
        flags = (
            *(_graver(flag, defects) for flag in row.flags),
            *_flags(row.example, source, spoken, checks),
        )
        warned.update(flag.check for flag in flags if flag.severity == "warn")
        grave = next((flag.check for flag in flags if flag.severity == "reject"), None)
        if grave is not None:
            reasons[grave] += 1
        # the caller writes the facts when the last row is drawn
        facts.update(rejected=reasons.total(), reasons=dict(reasons), warned=dict(warned))
        yield table.Row(row.example, flags)


def _graver(flag: Flag, defects: Severity) -> Flag:
    return replace(flag, severity=defects) if flag.check.startswith(DEFECT) else flag


def _paired(workspace: Workspace, language: Language) -> Iterator[tuple[Example, table.Row]]:
    """Yield every row beside its English source; rows collected in the language have none.

    They come after the translated ones, each in the order of its sources. A limit holds for both.
    """
    limit = workspace.recipe.limit
    ids = own_ids(workspace, language) if language.code != "en" else frozenset()
    english = (source for source in _sources(workspace, "en") if source.id not in ids)
    own = _sources(workspace, language.code) if ids else iter(())
    wanted, other = next(english, None), next(own, None)
    counted = {"english": 0, "own": 0}
    for row in table.read(workspace.stage("answered", language.code)):
        if wanted is not None and wanted.id == row.example.id:
            which, source = "english", wanted
            wanted = next(english, None)
        elif other is not None and other.id == row.example.id:
            which, source = "own", NO_SOURCE
            other = next(own, None)
        elif limit and counted["english"] >= limit:
            continue  # the sources were read to the limit only
        else:
            raise _out_of_order(language, row.example, wanted)
        counted[which] += 1
        if not limit or counted[which] <= limit:
            yield source, row


def _sources(workspace: Workspace, code: str) -> Iterator[Example]:
    path = workspace.stage("sources", code)
    return (row.example for row in table.read(path)) if path.is_file() else iter(())


def _out_of_order(language: Language, found: Example, wanted: Example | None) -> DataError:
    if wanted is None:
        return DataError(
            f"{found.id} has a response in {language.name} and is not among the sources",
            "run collect, translate and respond on this folder again, with the same --limit",
        )
    return DataError(
        f"the rows of {language.name} are not in the order of the sources: "
        f"{found.id} stands where {wanted.id} should",
        "run translate and respond again on this folder",
    )


def _flags(
    example: Example, source: Example, language: Language, checks: tuple[Check, ...]
) -> tuple[Flag, ...]:
    if example.missing:
        return (Flag(MISSING, "reject", "output", example.missing),)
    return check(Checked(example, source, language), checks)
