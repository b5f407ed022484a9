"""A few rows a language, asked for real, so that the plan of the rest rests on answers.

They stay in the ledger: the run that follows does not ask for them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from bactrian import table
from bactrian.data.ask import Asking, Paid, fill_rows
from bactrian.data.providers import Engaged
from bactrian.data.respond import responding
from bactrian.data.translate import road, translating
from bactrian.files import locked
from bactrian.languages import Language
from bactrian.ledger import Ledger
from bactrian.workspace import Workspace

STRATA = 8
"""Classes of length that the rows are drawn from in equal parts."""


@dataclass(frozen=True, slots=True)
class Piloted:
    """What a pilot did in one language."""

    rows: int
    answered: int
    cost_usd: float


def chosen(workspace: Workspace, rows: int) -> tuple[table.Row, ...]:
    """Return ``rows`` English rows for a pilot, if there are so many: the same ones every time.

    Stratified by the length of the task: as many rows of each eighth, by a hash of seed and id.
    """
    told, seed = workspace.recipe.translate, workspace.recipe.seed

    def rank(row: table.Row) -> bytes:
        return hashlib.blake2b(f"{seed}:pilot:{row.example.id}".encode(), digest_size=8).digest()

    # only lengths are held for all rows; of the rows, those of the smallest ranks
    asked = [
        (len(row.example.instruction) + len(row.example.input), rank(row), row.example.id)
        for row in table.read(workspace.stage("sources", "en"))
        if road(row.flags, told).way in ("translate", "adapt")
    ]
    asked.sort()
    taken: set[str] = set()
    for stratum in range(STRATA):
        part = asked[len(asked) * stratum // STRATA : len(asked) * (stratum + 1) // STRATA]
        wanted = rows * (stratum + 1) // STRATA - rows * stratum // STRATA
        taken.update(identifier for _, _, identifier in sorted(part, key=_by_rank)[:wanted])
    return tuple(
        row for row in table.read(workspace.stage("sources", "en")) if row.example.id in taken
    )


def pilot(
    workspace: Workspace,
    language: Language,
    rows: Iterable[table.Row],
    translator: Engaged,
    model: Engaged,
) -> Piloted:
    """Translate the rows and ask for their responses, into the ledger; make no table."""
    if language.code == "en":
        return Piloted(0, 0, 0.0)
    translate = translating(workspace, language, translator)
    rows = tuple(row for row in rows if row.example.id not in translate.own)
    respond = responding(workspace, language, model)
    path = workspace.ledger(language)
    with locked(path.parent, path.name), Ledger(path) as ledger:
        first = fill_rows(translate, lambda: rows, ledger)
        tasks = _settled(translate, rows, ledger)
        second = fill_rows(respond, lambda: tasks, ledger)
        answered = sum(bool(row.example.output) for row in _settled(respond, tasks, ledger))
    cost = sum(one.cost_usd for one in (*first, *second))
    return Piloted(len(rows), answered, cost)


def _settled(asking: Asking, rows: Iterable[table.Row], ledger: Ledger) -> tuple[table.Row, ...]:
    paid = Paid(ledger)
    return tuple(row if row.example.missing else asking.settle(row, paid) for row in rows)


def _by_rank(found: tuple[int, bytes, str]) -> bytes:
    return found[1]
