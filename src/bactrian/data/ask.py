"""A stage whose rows need a provider: ask for what the ledger lacks, then derive the table.

What was paid for is in the ledger before the table is written; the table is a pure function of the
rows before it and the ledger. Translation and responses are both this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from bactrian import table
from bactrian.errors import DataError
from bactrian.events import emit
from bactrian.files import locked
from bactrian.languages import Language
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Provider, Request
from bactrian.providers.fill import Filled, Need, fill, survey
from bactrian.schema import Example, Instruction

PROBE = Instruction("probe", "en", "instruction", "input")


@dataclass(frozen=True, slots=True)
class Asking:
    """One stage in one language."""

    kind: Literal["translation", "response"]
    rows_from: Path
    rows_to: Path
    ledger: Path
    language: Language
    provider: Provider
    concurrency: int
    limit: int
    """First rows to work on; 0 means all."""
    settle: Callable[[Example, Entry], Example]
    """Puts a paid answer into the row."""
    lack: Callable[[Example, str], Example]
    """Marks the row as missing, with the reason."""

    @property
    def made_from(self) -> str | None:
        """Hash of what the table follows from; None while the stage before has not run."""
        before = table.info(self.rows_from)
        if before is None:
            return None
        # what is sent besides the row (a prompt, a temperature) is in the request for any row
        asked = None if self.is_english else self.provider.request(PROBE, self.language)
        return table.hash_of(self.kind, 1, before.content, self.provider.name, asked, self.limit)

    @property
    def is_english(self) -> bool:
        """English rows pass through: nobody has to be asked."""
        return self.language.code == "en"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stage made; ``rows == answered + missing``."""

    path: Path
    rows: int
    answered: int
    missing: int
    filled: Filled | None
    """What was asked; None where nothing had to be."""


def need(asking: Asking) -> Need:
    """Return what the language needs and what is paid for; sends nothing."""
    path = asking.ledger
    with Ledger(path, read_only=True) if path.is_file() else nullcontext() as ledger:
        return survey(ledger, _requests(asking))


def ask(asking: Asking) -> Asked:
    """Fill the ledger and write the table; finished work is recognised and not done again."""
    made_from = asking.made_from
    if made_from is None:
        raise DataError(
            f"{asking.rows_from} does not exist", "run the stage before this one on the folder"
        )
    found = table.info(asking.rows_to)
    if found is not None and found.made_from == made_from and not found.facts["missing"]:
        return Asked(asking.rows_to, found.rows, found.rows, 0, None)
    with locked(asking.ledger.parent, asking.ledger.name), _ledger(asking) as ledger:
        filled = _fill(asking, ledger) if ledger is not None else None
        facts = {"missing": 0}
        rows = _rows(asking, ledger, facts)
        found = table.write(asking.rows_to, rows, made_from, facts)
    emit("made", path=str(asking.rows_to), rows=found.rows)
    missing = facts["missing"]
    return Asked(asking.rows_to, found.rows, found.rows - missing, missing, filled)


def _ledger(asking: Asking) -> AbstractContextManager[Ledger | None]:
    return nullcontext() if asking.is_english else Ledger(asking.ledger)


def _fill(asking: Asking, ledger: Ledger) -> Filled:
    before = table.info(asking.rows_from)
    return fill(
        ledger,
        _requests(asking),
        asking.provider,
        asking.kind,
        concurrency=asking.concurrency,
        task=f"{asking.kind} {asking.language.code}",
        total=before.rows if before else None,
    )


def _examples(asking: Asking) -> Iterator[Example]:
    for row in islice(table.read(asking.rows_from), asking.limit or None):
        yield row.example


def _requests(asking: Asking) -> Iterator[Request]:
    if asking.is_english:
        return
    for example in _examples(asking):
        if not example.missing:
            yield asking.provider.request(example.task, asking.language)


def _rows(asking: Asking, ledger: Ledger | None, facts: dict[str, Any]) -> Iterator[table.Row]:
    reasons = ledger.failures() if ledger is not None else {}
    for example in _examples(asking):
        if ledger is not None and not example.missing:
            key = key_of(asking.provider.request(example.task, asking.language))
            entry = ledger.get(key)
            if entry is None:
                why = f"no {asking.kind}: {reasons.get(key, 'not asked for')}"
                example = asking.lack(example, why)
            else:
                example = asking.settle(example, entry)
        facts["missing"] += bool(example.missing)
        yield table.Row(example)
