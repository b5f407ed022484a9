"""A stage whose rows need a provider: ask for what the ledger lacks, then derive the table.

What was paid for is in the ledger before the table is written; the table is a pure function of the
rows before it and the ledger. Translation and responses are both this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

from bactrian import table
from bactrian.errors import ConfigError, DataError, LedgerError
from bactrian.events import emit
from bactrian.files import locked
from bactrian.languages import Language
from bactrian.ledger import Entry, Kind, Ledger, key_of
from bactrian.ledger.batches import unfinished
from bactrian.providers import Request
from bactrian.providers.fill import Filled, Need, fill, survey
from bactrian.providers.terms import Sender, Terms


class Paid:
    """What a ledger says of a request: its answer, or why there is none."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._reasons: dict[str, str] | None = None

    def answer(self, request: Request) -> Entry | None:
        """Return the answer that was paid for."""
        return self._ledger.get(key_of(request)) if self._ledger is not None else None

    def why_not(self, request: Request) -> str:
        """Return why there is no answer, as the last attempt left it."""
        if self._reasons is None:
            self._reasons = self._ledger.failures() if self._ledger is not None else {}
        return self._reasons.get(key_of(request), "not asked for")


LEFT_OUT = "left out"
"""How the reason of a row begins that the recipe does not want: nothing is missing there."""
Way = Callable[[table.Row, Paid], Request | None]
"""What to ask for a row; None where nothing has to be. A later way sees what an earlier one got."""
Rows = Callable[[], Iterable[table.Row]]
Settle = Callable[[table.Row, Paid], table.Row]
"""Puts what was paid for into a row, or the reason why it is missing; asks nobody."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the requests that one machine of several asks for: by key, so it never shifts."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, told: str) -> Self:
        """Return the shard of ``2/4``, the whole of an empty text; raises ConfigError."""
        number, slash, of = told.partition("/")
        if not told:
            return cls()
        if not (slash and number.isdecimal() and of.isdecimal() and 0 < int(number) <= int(of)):
            raise ConfigError(f"--shard {told} is no part of a whole", "write --shard 1/4 to 4/4")
        return cls(int(number), int(of))

    def takes(self, request: Request) -> bool:
        """Whether a request is asked for here."""
        return self.of == 1 or int(key_of(request)[:8], 16) % self.of == self.number - 1


WHOLE = Shard()


@dataclass(frozen=True, slots=True)
class Asking:
    """One stage in one language."""

    kind: Kind
    rows_from: tuple[Path, ...]
    """Tables read one after another; those after the first may be absent."""
    rows_to: Path
    ledger: Path
    language: Language
    provider: Sender
    ways: tuple[Way, ...]
    settle: Settle
    follows: Any
    """Plain JSON of everything but the rows that the table follows from."""
    terms: Terms = field(default_factory=Terms)
    limit: int = 0
    """First rows of each table to work on; 0 means all."""
    shard: Shard = WHOLE
    own: frozenset[str] = frozenset()
    """Ids that the language has rows of its own for: these stand in place of the first table's."""
    joined: frozenset[str] = frozenset()
    """Ids of own rows that stand in the first table already; the limit counts them apart."""

    @property
    def is_english(self) -> bool:
        """English rows pass through: nobody has to be asked."""
        return self.language.code == "en"

    @property
    def made_from(self) -> str | None:
        """Hash of what the table follows from; None while the stage before has not run."""
        before = [found.content for path in self.rows_from if (found := table.info(path))]
        if not before or table.info(self.rows_from[0]) is None:
            return None
        return table.hash_of(self.kind, 2, before, self.provider.name, self.follows, self.limit)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stage made; ``rows == answered + missing``."""

    path: Path
    rows: int
    answered: int
    missing: int
    filled: tuple[Filled, ...]
    """What was asked, by way; empty where nothing had to be."""


def need(asking: Asking) -> Need:
    """Return what the first way needs and what of it is paid for; sends nothing."""
    path = asking.ledger
    with Ledger(path, read_only=True) if path.is_file() else nullcontext() as ledger:
        way = asking.ways[0] if asking.ways else _nothing
        return survey(ledger, requests_of(asking, drawn(asking), way, Paid(ledger)))


def ask(asking: Asking) -> Asked:
    """Fill the ledger and write the table; finished work is recognised and not done again.

    A shard fills its ledger and writes no table: that is for whoever has merged all of them.
    """
    if (done := finished(asking)) is not None:
        return done
    _none_is_out(asking)
    with paid_for(asking) as ledger:
        filled = fill_rows(asking, lambda: drawn(asking), ledger) if ledger is not None else ()
        return derived(asking, ledger, filled)


def finished(asking: Asking) -> Asked | None:
    """Return what was made, where the table is that of today's rows and nothing is missing in it.

    Raises DataError where the stage before has not run.
    """
    made_from = asking.made_from
    if made_from is None:
        raise DataError(
            f"{asking.rows_from[0]} does not exist", "run the stage before this one on the folder"
        )
    found = table.info(asking.rows_to)
    if found is None or found.made_from != made_from or found.facts["missing"]:
        return None
    return Asked(asking.rows_to, found.rows, found.rows, 0, ())


def _none_is_out(asking: Asking) -> None:
    """Raise LedgerError where a batch is at the provider: its requests would be paid for twice."""
    if out := [batch for batch in unfinished(asking.ledger) if batch.kind == asking.kind]:
        raise LedgerError(
            f"{len(out)} batches of {asking.language.name} are out at {out[0].provider}",
            "collect them first: the same command with --set respond.batch=true (docs/batches.md)",
        )


@contextmanager
def paid_for(asking: Asking) -> Iterator[Ledger | None]:
    """Open the stage's ledger, for this process alone; None where nobody has to be asked."""
    with (
        locked(asking.ledger.parent, asking.ledger.name),
        Ledger(asking.ledger) if asking.ways else nullcontext() as ledger,
    ):
        yield ledger


def derived(asking: Asking, ledger: Ledger | None, filled: tuple[Filled, ...]) -> Asked:
    """Write the table from the rows and the ledger; a shard only counts."""
    if asking.shard.of > 1:
        answered = sum(one.need.present + one.answered for one in filled)
        failed = sum(one.failed for one in filled)
        return Asked(asking.ledger, answered + failed, answered, failed, filled)
    made_from = asking.made_from
    assert made_from is not None  # asked before anything was sent
    facts = {"missing": 0}
    rows = _rows(asking, Paid(ledger), facts)
    found = table.write(asking.rows_to, rows, made_from, facts)
    emit("made", path=str(asking.rows_to), rows=found.rows)
    missing = facts["missing"]
    return Asked(asking.rows_to, found.rows, found.rows - missing, missing, filled)


def _nothing(row: table.Row, paid: Paid) -> None:
    return None


def fill_rows(asking: Asking, rows: Rows, ledger: Ledger) -> tuple[Filled, ...]:
    """Ask for what rows need, one way after the other; ``rows`` is called for each way anew."""
    before = table.info(asking.rows_from[0])
    task = f"{asking.kind} {asking.language.code}"
    return tuple(
        fill(
            ledger,
            requests_of(asking, rows(), way, Paid(ledger)),
            asking.provider,
            asking.kind,
            terms=asking.terms,
            task=f"{task} way {number}" if number > 1 else task,
            total=min(before.rows, asking.limit or before.rows) if before and number == 1 else None,
        )
        for number, way in enumerate(asking.ways, start=1)
    )


def drawn(asking: Asking) -> Iterator[table.Row]:
    """Yield the rows that the stage works on, in order."""
    for path in asking.rows_from:
        if path == asking.rows_from[0] or path.is_file():
            rows = _first(table.read(path), asking.limit, asking.joined)
            own = asking.own if path == asking.rows_from[0] else ()
            yield from (row for row in rows if row.example.id not in own)


def _first(rows: Iterable[table.Row], limit: int, joined: frozenset[str]) -> Iterator[table.Row]:
    """Yield the first rows: as many of those that are joined, and as many of the others."""
    if not (limit and joined):
        yield from islice(rows, limit or None)
        return
    counted = {True: 0, False: 0}
    for row in rows:
        own = row.example.id in joined
        counted[own] += 1
        if counted[own] <= limit:
            yield row


def requests_of(
    asking: Asking, rows: Iterable[table.Row], way: Way, paid: Paid
) -> Iterator[Request]:
    """Yield what a way asks for, in the order of the rows."""
    for row in rows:
        if row.example.missing:
            continue
        request = way(row, paid)
        if request is not None and (asking.shard.of == 1 or _takes(asking, row, request, paid)):
            yield request


def _takes(asking: Asking, row: table.Row, request: Request, paid: Paid) -> bool:
    """By the key of the first way: only its shard has the answer that a second follows from."""
    return asking.shard.takes(asking.ways[0](row, paid) or request)


def _rows(asking: Asking, paid: Paid, facts: dict[str, Any]) -> Iterator[table.Row]:
    for row in drawn(asking):
        settled = row if row.example.missing else asking.settle(row, paid)
        missing = settled.example.missing
        facts["missing"] += bool(missing) and not missing.startswith(LEFT_OUT)
        yield settled
