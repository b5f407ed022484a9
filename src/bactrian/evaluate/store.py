"""Log-likelihoods that were computed, kept as each batch ends; metrics are made from them anew.

Keyed by what computed them (base, adapter, dtype) and by what was asked (the texts themselves), so
that results of another model or another prompt can never be taken for these.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bactrian.errors import RunError

SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
  scorer TEXT NOT NULL, task TEXT NOT NULL, item TEXT NOT NULL, option INTEGER NOT NULL,
  log_likelihood REAL NOT NULL, tokens INTEGER NOT NULL, dropped INTEGER NOT NULL,
  UNIQUE (scorer, task, item, option));
"""


@dataclass(frozen=True, slots=True)
class Scored:
    """One option of one item."""

    item: str
    option: int
    log_likelihood: float
    """Nats, summed over the option's tokens."""
    tokens: int
    dropped: int
    """Tokens of the context that did not fit and were left out."""


class Store:
    """An open score file; one transaction a batch."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    def put(self, scorer: str, task: str, scores: Iterable[Scored]) -> None:
        """Commit the scores of one batch; raises RunError when the disk is full."""
        rows = (
            (scorer, task, s.item, s.option, s.log_likelihood, s.tokens, s.dropped) for s in scores
        )
        try:
            with self.connection:
                self.connection.executemany(
                    "INSERT OR REPLACE INTO scores VALUES (?,?,?,?,?,?,?)", rows
                )
        except sqlite3.OperationalError as error:
            raise RunError(
                f"{self.path} could not be written: {error}",
                "free some space and run the same command again; committed scores are kept",
            ) from error

    def get(self, scorer: str, task: str) -> dict[tuple[str, int], Scored]:
        """Return what is there for one scorer and one task in one language."""
        rows = self.connection.execute(
            "SELECT item, option, log_likelihood, tokens, dropped FROM scores "
            "WHERE scorer = ? AND task = ?",
            (scorer, task),
        )
        return {(row[0], row[1]): Scored(*row) for row in rows}


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open the file, made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(SCHEMA)
        yield Store(connection, path)
    except sqlite3.OperationalError as error:
        raise RunError(
            f"{path} could not be used: {error}", "see to the disk and run the same command again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise RunError(
            f"{path} is no score file: {error}", "move it away and run the command again"
        ) from error
    finally:
        connection.close()
