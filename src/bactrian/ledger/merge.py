"""The union of ledgers, as shards on several machines leave them. Merging twice changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bactrian.errors import LedgerError
from bactrian.ledger.batches import OPEN
from bactrian.ledger.tables import SELECT, connect, reckon, version_of

REPEATED = (
    "SELECT o.key, o.kind, o.provider, 'repeated', o.output, o.tokens_in, o.tokens_out, "
    "o.characters, o.cost_usd, o.time FROM other.answers o JOIN main.answers a ON a.key = o.key "
    "WHERE o.time != a.time OR o.output != a.output ORDER BY o.rowid"
)
CLOSED = (
    "INSERT OR IGNORE INTO batches SELECT * FROM other.batches "
    f"WHERE state NOT IN ({', '.join(map(repr, OPEN))})"
)
"""What is out stays with the ledger that sent it: only that has the requests to collect it by."""
FAILURES = (
    "INSERT INTO main.failures SELECT * FROM other.failures EXCEPT SELECT * FROM main.failures"
)


@dataclass(frozen=True, slots=True)
class Merged:
    """What came in; ``read == new + repeated + known``."""

    read: int
    """Answers in the other ledgers."""
    new: int
    """Of these, under keys that were not there."""
    repeated: int
    """Paid for a second time elsewhere; the first answer stays, these are kept as charges."""

    @property
    def known(self) -> int:
        """The very same answers, merged before."""
        return self.read - self.new - self.repeated


def merge(into: Path, others: Iterable[Path]) -> Merged:
    """Copy what the other ledgers hold into one, each in one transaction.

    Raises LedgerError for a file that is no ledger, and for a ledger merged into itself; what was
    merged before stays.
    """
    read = new = repeated = 0
    with closing(connect(into, read_only=False)) as connection:
        for path in others:
            if path.resolve() == into.resolve():
                raise LedgerError(f"{path} cannot be merged into itself", "name another ledger")
            with closing(connect(path, read_only=True)) as other:
                version = version_of(other)
            counts = _merge_one(connection, path, version)
            read, new, repeated = read + counts[0], new + counts[1], repeated + counts[2]
    return Merged(read, new, repeated)


def _merge_one(connection: sqlite3.Connection, path: Path, version: int) -> tuple[int, int, int]:
    """Return (answers read, new, repeated)."""
    connection.execute("ATTACH ? AS other", (str(path),))
    try:
        with connection:
            if version > 1:
                connection.execute("INSERT OR IGNORE INTO charges SELECT * FROM other.charges")
                connection.execute(CLOSED)
            connection.execute(FAILURES)
            read = connection.execute("SELECT count(*) FROM other.answers").fetchone()[0]
            before = connection.total_changes
            connection.execute(f"INSERT OR IGNORE INTO charges {REPEATED}")
            repeated = connection.total_changes - before
            answers = SELECT.replace("FROM answers", "FROM other.answers ORDER BY rowid")
            connection.execute(f"INSERT OR IGNORE INTO main.answers {answers}")
            new = connection.total_changes - before - repeated
            reckon(connection)
            return read, new, repeated
    except sqlite3.Error as error:
        raise LedgerError(
            f"{path} could not be merged: {error}", "nothing of it was taken over; look at the file"
        ) from error
    finally:
        connection.execute("DETACH other")
