"""What was paid for: one SQLite file of answers, keyed by what the provider saw.

Knows nothing of rows, languages or providers' formats. A rowid table with a unique key, WAL and a
group commit of what arrived in 50 ms: measured at 4.5 ms of CPU per 1,000 answers, and readable by
any other process while it is written (docs/decisions/0003-ledger.md).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from bactrian.errors import LedgerError
from bactrian.ledger.committing import Arrived, commit, present
from bactrian.ledger.entries import CHARGE, TOTAL, Charge, Entry, Failure, Kind, Total, key_of
from bactrian.ledger.tables import RECKON_1, SELECT, VERSION, connect, version_of

__all__ = ["VERSION", "Charge", "Entry", "Kind", "Ledger", "Total", "key_of"]

GROUP_SECONDS = 0.03
"""How long a group waits for company; with its commit an answer is on disk within some 50 ms."""


class Ledger:
    """An open ledger. ``put`` returns at once; ``flush`` returns when all of it is on disk."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._reader = connect(path, read_only)
        self._waiting: list[Arrived] = []
        self._state = threading.Condition()
        self._closing = False
        self._hurry = False
        self._writing = False
        self._error: Exception | None = None
        self._writer = threading.Thread(target=self._write, name=f"ledger {path.name}", daemon=True)
        if not read_only:
            self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise LedgerError(
                f"{self.path} cannot be read: {error}",
                "restore it from a copy, or move it away: then all of it is paid for again",
            ) from error

    def get(self, key: str) -> Entry | None:
        """Return the committed answer under ``key``, or None."""
        found = self._reader.execute(f"{SELECT} WHERE key = ?", (key,)).fetchone()
        return Entry(*found) if found else None

    def has(self, key: str) -> bool:
        """Whether the answer under ``key`` is committed."""
        found = self._reader.execute("SELECT 1 FROM answers WHERE key = ?", (key,)).fetchone()
        return found is not None

    def blank(self) -> bool:
        """Whether no answer is committed yet."""
        return self._reader.execute("SELECT 1 FROM answers LIMIT 1").fetchone() is None

    def present(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of a few hundred keys whose answer is committed."""
        return present(self._reader, keys)

    def __len__(self) -> int:
        count: int = self._reader.execute("SELECT count(*) FROM answers").fetchone()[0]
        return count

    def entries(self) -> Iterator[Entry]:
        """Yield every committed answer in the order of arrival, without holding them."""
        for found in self._reader.execute(f"{SELECT} ORDER BY rowid"):
            yield Entry(*found)

    def charges(self) -> Iterator[Charge]:
        """Yield what was paid for without an answer that is kept, in the order of arrival."""
        if version_of(self._reader) < 2:
            return
        found = self._reader.execute(f"SELECT {','.join(CHARGE)} FROM charges ORDER BY rowid")
        yield from (Charge(*row) for row in found)

    def sample_tokens(self, kind: Kind, most: int) -> list[int]:
        """Return the output tokens of at most so many answers, drawn evenly: keys are hashes."""
        told = "SELECT tokens_out FROM answers WHERE kind = ? ORDER BY key LIMIT ?"
        return [tokens for (tokens,) in self._reader.execute(told, (kind, most))]

    def totals(self) -> tuple[Total, ...]:
        """Return the sums by kind and provider, of all that is committed."""
        told = f"SELECT {','.join(TOTAL)} FROM totals ORDER BY kind, provider"
        return tuple(
            Total(*row)
            for row in self._reader.execute(told if version_of(self._reader) > 1 else RECKON_1)
        )

    def failures(self) -> dict[str, str]:
        """Return the last reason for every key that failed and has no answer."""
        rows = self._reader.execute(
            "SELECT f.key, f.why FROM failures f LEFT JOIN answers a ON a.key = f.key "
            "WHERE a.key IS NULL ORDER BY f.rowid"
        )
        return dict(rows)

    def put(self, entry: Entry) -> None:
        """Hand over an answer; it is on disk within about 50 ms. The first under a key stays.

        A second one was paid for, too: it is kept among the charges as ``repeated``.
        """
        self._hand_over(entry)

    def charge(self, charge: Charge) -> None:
        """Hand over what was paid for without an answer that is kept."""
        self._hand_over(charge)

    def put_failure(self, key: str, why: str, attempts: int) -> None:
        """Record that the provider gave no answer, and why, for the report."""
        self._hand_over(Failure(key, why, attempts, time.time()))

    def flush(self) -> None:
        """Wait until everything handed over is committed; raises LedgerError if it cannot be."""
        with self._state:
            while (self._waiting or self._writing) and self._error is None:
                self._hurry = True
                self._state.notify_all()
                self._state.wait(1.0)
            self._raise_if_broken()

    def close(self) -> None:
        """Commit what is left and close; raises LedgerError if that cannot be done."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        if self._writer.is_alive():
            self._writer.join()
        self._reader.close()
        with self._state:
            self._raise_if_broken()

    def _hand_over(self, what: Arrived) -> None:
        if self.read_only:
            raise LedgerError(f"{self.path} is open for reading only", "open it for writing")
        with self._state:
            self._raise_if_broken()
            self._waiting.append(what)
            if len(self._waiting) == 1:
                self._state.notify_all()

    def _raise_if_broken(self) -> None:
        if self._error is not None:
            raise LedgerError(
                f"{self.path} could not be written: {self._error}",
                "free some disk space and run the same command again; committed answers are safe",
            ) from self._error

    def _write(self) -> None:
        try:
            with closing(connect(self.path, read_only=False)) as connection:
                while self._write_a_group(connection):
                    pass
        except Exception as error:
            # whatever it was: who waits for the disk must hear of it
            with self._state:
                self._error = error
                self._state.notify_all()

    def _write_a_group(self, connection: sqlite3.Connection) -> bool:
        with self._state:
            while not (self._waiting or self._closing):
                self._state.wait()
            if not self._waiting:
                return False
        # the group: what arrives meanwhile joins it
        self._pause()
        with self._state:
            self._hurry = False
            group, self._waiting = self._waiting, []
            self._writing = True
        with connection:
            commit(connection, group)
        with self._state:
            self._writing = False
            self._state.notify_all()
        return True

    def _pause(self) -> None:
        with self._state:
            self._state.wait_for(lambda: self._hurry or self._closing, GROUP_SECONDS)
