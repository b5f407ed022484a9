"""Last stage: the folder that is trained on and published.

Parquet by language, split by id so that validation ids are the same in every language, rejected
rows beside the good ones with their flags, and a card. ``train + validation + rejected == rows``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bactrian import table
from bactrian.data.card import Counts, card
from bactrian.errors import DataError
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.languages import Language
from bactrian.workspace import Workspace

SPLITS = ("train", "validation", "rejected")


@dataclass(frozen=True, slots=True)
class Built:
    """The dataset folder."""

    path: Path
    counts: tuple[Counts, ...]


def build(workspace: Workspace, languages: Iterable[Language]) -> Built:
    """Write ``data/<language>/{train,validation,rejected}`` and the card of every language."""
    languages = tuple(languages)
    held_out = validation_ids(workspace, languages)
    counts = tuple(_language(workspace, language, held_out) for language in languages)
    text = card(workspace.recipe, languages, counts)
    path = workspace.dataset / "README.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
        emit("made", path=str(path))
    return Built(workspace.dataset, counts)


def validation_ids(workspace: Workspace, languages: tuple[Language, ...]) -> frozenset[str]:
    """Return the ids held out: the first by a hash of seed and id, among those kept somewhere.

    Every language that is checked in this folder counts, whichever are built now, and the rank of
    an id follows from the seed alone: a language that is added later finds the same ids held out.
    """
    kept = Counter[str]()
    for language in languages:
        _require_checked(workspace, language)
    for path in sorted(workspace.stage("checked", "any").parent.glob("*.parquet")):
        for row in table.read(path):
            kept[row.example.id] += not row.rejected
    seed = workspace.recipe.seed
    candidates = [identifier for identifier, times in kept.items() if times]
    if not candidates:
        raise DataError(
            f"none of the {len(kept)} instructions passed the checks"
            if kept
            else "there are no rows",
            "look at the flags in stages/checked, or collect more instructions",
        )

    def rank(identifier: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{identifier}".encode(), digest_size=8).digest()

    validation = workspace.recipe.build.validation
    if validation >= len(candidates):
        raise DataError(
            f"build.validation = {validation} leaves none of the {len(candidates)} ids "
            "for training",
            "set build.validation lower, or collect more instructions",
        )
    return frozenset(sorted(candidates, key=rank)[:validation])


def _require_checked(workspace: Workspace, language: Language) -> None:
    if not workspace.stage("checked", language.code).is_file():
        raise DataError(f"{language.name} is not checked yet", "run bactrian check first")


def _language(workspace: Workspace, language: Language, held_out: frozenset[str]) -> Counts:
    checked = table.info(workspace.stage("checked", language.code))
    assert checked is not None  # validation_ids has read it
    made_from = table.hash_of("split", 1, checked.content, sorted(held_out))
    rows = {}
    for split in SPLITS:
        path = workspace.split(language.code, split)
        found = table.info(path)
        if found is None or found.made_from != made_from:
            drawn = table.read(workspace.stage("checked", language.code))
            wanted = (row for row in drawn if _split_of(row, held_out) == split)
            found = table.write(path, wanted, made_from)
            emit("made", path=str(path), rows=found.rows)
        rows[split] = found.rows
    if sum(rows.values()) != checked.rows:
        raise DataError(
            f"{language.name}: {checked.rows} rows went in, {sum(rows.values())} came out",
            "rows changed while they were read: run bactrian build again",
        )
    return Counts(language.code, checked.rows, **rows, reasons=checked.facts["reasons"])


def _split_of(row: table.Row, held_out: frozenset[str]) -> str:
    if row.rejected:
        return "rejected"
    return "validation" if row.example.id in held_out else "train"
