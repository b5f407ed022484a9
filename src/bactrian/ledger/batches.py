"""The batches that are out at a provider, and their requests: no crash may pay them twice.

A batch and the keys in it are on disk before anything is sent, and every change of state before
the next step. Knows states and keys, nothing of providers. One process at a time writes here.

A row of ``batch_requests`` without a batch waits for one; once its result is in, its text is
emptied and the row stays until its batch is closed, so that a result is never taken twice.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bactrian.errors import LedgerError
from bactrian.ledger import Charge, Entry, Kind
from bactrian.ledger.committing import commit
from bactrian.ledger.entries import Failure
from bactrian.ledger.tables import connect, version_of

State = Literal["submitting", "sending", "sent", "ended"]
"""Written down; may be there, its mark is known; is there; its results are being taken."""
OPEN: tuple[State, ...] = ("submitting", "sending", "sent", "ended")
"""Any other word is how a batch was closed."""


class Batch(NamedTuple):
    """One batch."""

    name: str
    """Ours, known before the provider knows anything."""
    kind: Kind
    provider: str
    state: str
    mark: str
    """What the provider told before the batch was made, to find it by: file or batch before."""
    remote: str
    """The provider's id of the batch; empty while it is not known."""
    requests: int
    tokens: float
    """Tokens of its prompts, as estimated."""
    reserved: float
    """USD that are set aside for all of its requests."""
    time: float
    """Unix time of the last change of state."""


class Queued(NamedTuple):
    """One request that waits for a batch, or is in one."""

    number: int
    key: str
    batch: str
    wanted: bool
    """Whether this run needs it; the others are only taken in."""
    request: str
    """Canonical JSON; empty once its result is in."""
    attempts: int
    again: str
    """JSON: how often it was asked again, by reason."""


BATCH = ",".join(Batch._fields)
QUEUED = "rowid, key, batch, wanted, request, attempts, again"


class Batches:
    """The batches of one ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path, read_only=False)
        # a power cut, too, must not make us forget what was sent
        self._connection.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin(self) -> None:
        """Begin a run: nothing is wanted yet, and what never was in a batch is forgotten."""
        with self._connection as connection:
            connection.execute("UPDATE batch_requests SET wanted = 0 WHERE wanted = 1")
            connection.execute("DELETE FROM batch_requests WHERE batch = '' AND attempts = 0")

    def want(self, requests: Sequence[tuple[str, bytes]]) -> None:
        """Queue requests (key, canonical JSON); one that is out already is wanted, not queued."""
        rows = [(key, text.decode()) for key, text in requests]
        told = (
            "INSERT INTO batch_requests VALUES (?, '', 1, ?, 0, '{}') "
            "ON CONFLICT (key) DO UPDATE SET wanted = 1"
        )
        self._write(lambda connection: connection.executemany(told, rows))

    def waiting(self) -> int:
        """Return how many wanted requests have no batch."""
        return self._count("batch = '' AND wanted = 1")

    def out(self) -> int:
        """Return how many wanted requests are in a batch."""
        return self._count("batch > '' AND wanted = 1")

    def queued(self) -> Iterator[Queued]:
        """Yield wanted requests without a batch, in order, without holding them."""
        yield from self._requests("batch = '' AND wanted = 1")

    def of(self, name: str) -> Iterator[Queued]:
        """Yield the requests of a batch that have no result, in the order of its file."""
        yield from self._requests("batch = ? AND request > ''", name)

    def unsettled(self, name: str) -> int:
        """Return how many requests of a batch have no result."""
        return self._count("batch = ? AND request > ''", name)

    def some(self, keys: Sequence[str]) -> dict[str, Queued]:
        """Return those of a few hundred keys that are known here."""
        marks = ",".join("?" * len(keys))
        return {row.key: row for row in self._requests(f"key IN ({marks})", *keys)}

    def open(self) -> list[Batch]:
        """Return the batches that are not closed, oldest first."""
        return _open(self._connection)

    def form(self, batch: Batch, last: int) -> None:
        """Write down a batch of the queued requests up to number ``last``."""
        told = "UPDATE batch_requests SET batch = ? WHERE batch = '' AND wanted = 1 AND rowid <= ?"

        def write(connection: sqlite3.Connection) -> None:
            marks = ",".join("?" * len(batch))
            connection.execute(f"INSERT INTO batches ({BATCH}) VALUES ({marks})", batch)
            moved = connection.execute(told, (batch.name, last)).rowcount
            assert moved == batch.requests, f"{moved} of {batch.requests} requests are in the batch"

        self._write(write)

    def move(self, batch: Batch, state: State, *, mark: str = "", remote: str = "") -> Batch:
        """Write down what is known of a batch now, and return it."""
        now = batch._replace(
            state=state,
            mark=mark or batch.mark,
            remote=remote or batch.remote,
            time=time.time(),
        )
        told = "UPDATE batches SET state = ?, mark = ?, remote = ?, time = ? WHERE name = ?"
        values = (now.state, now.mark, now.remote, now.time, now.name)
        self._write(lambda connection: connection.execute(told, values))
        return now

    def settle(
        self,
        writes: list[Entry | Charge | Failure],
        settled: Iterable[str],
        again: Iterable[tuple[str, int, str]],
    ) -> None:
        """Write down a group of results in one transaction.

        ``settled`` are the keys that are through, ``again`` those that go back into the queue, with
        their attempts and reasons.
        """

        def write(connection: sqlite3.Connection) -> None:
            commit(connection, writes)
            done = ((key,) for key in settled)
            connection.executemany("UPDATE batch_requests SET request = '' WHERE key = ?", done)
            connection.executemany(
                "UPDATE batch_requests SET batch = '', attempts = ?, again = ? WHERE key = ?",
                ((attempts, reasons, key) for key, attempts, reasons in again),
            )

        self._write(write)

    def shut(self, batch: Batch, how: str) -> None:
        """Close a batch; its requests without a result go back into the queue as they are."""

        def write(connection: sqlite3.Connection) -> None:
            told = "UPDATE batch_requests SET batch = '' WHERE batch = ? AND request > ''"
            connection.execute(told, (batch.name,))
            connection.execute("DELETE FROM batch_requests WHERE batch = ?", (batch.name,))
            connection.execute(
                "UPDATE batches SET state = ?, time = ? WHERE name = ?",
                (how, time.time(), batch.name),
            )

        self._write(write)

    def _write(self, do: Any) -> None:
        try:
            with self._connection as connection:
                do(connection)
        except sqlite3.Error as error:
            raise LedgerError(
                f"{self.path} could not be written: {error}",
                "free some disk space and run the same command again; batches that are out are "
                "known and will be collected",
            ) from error

    def _requests(self, where: str, *values: str) -> Iterator[Queued]:
        told = f"SELECT {QUEUED} FROM batch_requests WHERE {where} ORDER BY rowid"
        with closing(self._connection.execute(told, values)) as found:
            for number, key, batch, wanted, *rest in found:
                yield Queued(number, key, batch, bool(wanted), *rest)

    def _count(self, where: str, *values: str) -> int:
        told = f"SELECT count(*) FROM batch_requests WHERE {where}"
        count: int = self._connection.execute(told, values).fetchone()[0]
        return count


def unfinished(path: Path) -> list[Batch]:
    """Return the batches of a ledger that are out, without writing to it.

    Whoever asks for answers in another way has to look here first: the same requests would be paid
    for twice.
    """
    if not path.is_file():
        return []
    with closing(connect(path, read_only=True)) as connection:
        return _open(connection) if version_of(connection) > 1 else []


def abandon(path: Path, name: str) -> None:
    """Forget a batch that was deleted at the provider: its requests are sent, and paid, anew.

    Raises LedgerError where no such batch is out.
    """
    out = {batch.name: batch for batch in unfinished(path)}
    if name not in out:
        hint = f"these are: {', '.join(out)}" if out else "none is out; nothing has to be done"
        raise LedgerError(f"{path} knows no batch {name} that is out", hint)
    with closing(Batches(path)) as batches:
        batches.shut(out[name], "abandoned")


def remotes(folder: Path) -> set[str]:
    """Return the provider's ids of all batches that the ledgers in a folder know."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.sqlite")):
        with closing(connect(path, read_only=True)) as connection:
            if version_of(connection) > 1:
                found.update(row[0] for row in connection.execute("SELECT remote FROM batches"))
    return found - {""}


def _open(connection: sqlite3.Connection) -> list[Batch]:
    marks = ",".join("?" * len(OPEN))
    told = f"SELECT {BATCH} FROM batches WHERE state IN ({marks}) ORDER BY rowid"
    return [Batch(*row) for row in connection.execute(told, OPEN)]
