"""Rows that are in their language already become checked rows: nobody translates or answers them.

For a dataset that somebody else made, one table a language, such as the published Bactrian-X. A
language has its own rows only; what other languages have beyond them is not asked for. Knows
nothing of providers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bactrian import table
from bactrian.data.check import NO_SOURCE, CheckedRows, checks_of
from bactrian.data.checks import Check, Checked, check
from bactrian.data.marks import DEFECT
from bactrian.errors import DataError
from bactrian.events import emit, track
from bactrian.languages import Language
from bactrian.schema import Flag, Severity
from bactrian.workspace import Workspace


def all_own(workspace: Workspace) -> bool:
    """Whether what was collected has no English row: nothing to translate, nothing to answer."""
    english = table.info(workspace.stage("sources", "en"))
    return english is not None and not english.rows


def own_rows(workspace: Workspace, language: Language) -> CheckedRows:
    """Write ``stages/checked/<language>.parquet`` from the collected rows of the language.

    Every row goes in, with its flags. Raises DataError where the language has none.
    """
    before = table.info(workspace.stage("sources", language.code))
    if before is None or not before.rows:
        raise DataError(
            f"there are no rows in {language.name}",
            "leave the language out, or name a collection that has it",
        )
    told = workspace.recipe.check
    path = workspace.stage("checked", language.code)
    made_from = table.hash_of("own", 1, before.content, told.model_dump(mode="json"))
    found = table.info(path)
    if found is None or found.made_from != made_from:
        facts: dict[str, Any] = {"rejected": 0, "reasons": {}, "warned": {}}
        rows = _rows(workspace, language, checks_of(told), facts)
        rows = track(rows, f"check {language.code}", before.rows)
        found = table.write(path, rows, made_from, facts)
        emit("made", path=str(path), rows=found.rows)
    return CheckedRows(path, found.rows, **found.facts)


def _rows(
    workspace: Workspace, language: Language, checks: tuple[Check, ...], facts: dict[str, Any]
) -> Iterator[table.Row]:
    reasons, warned = Counter[str](), Counter[str]()
    defects: Severity = workspace.recipe.check.defects
    for row in table.read(workspace.stage("sources", language.code)):
        flags = (
            *(_graver(flag, defects) for flag in row.flags),
            *check(Checked(row.example, NO_SOURCE, language), checks),
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
