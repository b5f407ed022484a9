"""Log-likelihoods that were computed, kept as each batch ends; metrics are made from them anew.

In which order rows were written depends on how often a run was stopped; ``rows`` and ``publish``
give them sorted, so that a run that was killed and gone on with ends in the same bytes. Keyed by
what computed them (base, adapter, dtype) and by what was asked (the texts themselves), so that
results of another model or another prompt can never be taken for these.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import RunError
from bactrian.files import write_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
  scorer TEXT NOT NULL, task TEXT NOT NULL, item TEXT NOT NULL, option INTEGER NOT NULL,
  log_likelihood REAL NOT NULL, tokens INTEGER NOT NULL, dropped INTEGER NOT NULL,
  greedy INTEGER NOT NULL DEFAULT 0,
  UNIQUE (scorer, task, item, option));
"""
COLUMNS = "item, option, log_likelihood, tokens, dropped, greedy"


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
    greedy: bool = False
    """Whether no token of the vocabulary was likelier than any of the option's."""


class Store:
    """An open score file; one transaction a batch."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    def put(self, scorer: str, task: str, scores: Iterable[Scored]) -> None:
        """Commit the scores of one batch; raises RunError when the disk is full."""
        rows = (
            (scorer, task, s.item, s.option, s.log_likelihood, s.tokens, s.dropped, int(s.greedy))
            for s in scores
        )
        try:
            with self.connection:
                self.connection.executemany(
                    "INSERT OR REPLACE INTO scores VALUES (?,?,?,?,?,?,?,?)", rows
                )
        except sqlite3.OperationalError as error:
            raise RunError(
                f"{self.path} could not be written: {error}",
                "free some space and run the same command again; committed scores are kept",
            ) from error

    def get(self, scorer: str, task: str) -> dict[tuple[str, int], Scored]:
        """Return what is there for one scorer and one task in one language."""
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM scores WHERE scorer = ? AND task = ?", (scorer, task)
        )
        return {(row[0], row[1]): _scored(row) for row in rows}

    def rows(self) -> Iterator[tuple[str, str, Scored]]:
        """Yield every score with its scorer and task, sorted: the same however it came about."""
        rows = self.connection.execute(
            f"SELECT scorer, task, {COLUMNS} FROM scores ORDER BY scorer, task, item, option"
        )
        for scorer, task, *row in rows:
            yield scorer, task, _scored(row)

    def publish(self, path: Path) -> None:
        """Write all rows as JSON lines, numbers with every bit; the same scores, the same bytes."""
        lines = (
            json.dumps({"scorer": scorer, "task": task, **asdict(scored)}, ensure_ascii=False)
            for scorer, task, scored in self.rows()
        )
        write_text(path, "".join(f"{line}\n" for line in lines))


def _scored(row: Sequence[Any]) -> Scored:
    item, option, log_likelihood, tokens, dropped, greedy = row
    return Scored(item, option, log_likelihood, tokens, dropped, bool(greedy))


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open the file, made where it is not there."""
    with database(path, SCHEMA, "is no score file") as connection:
        _complete(connection)
        yield Store(connection, path)


@contextmanager
def database(path: Path, schema: str, otherwise: str) -> Iterator[sqlite3.Connection]:
    """Open a file of what was computed, made with ``schema`` where it is not there.

    Raises RunError where it cannot be used, where the disk is full, and, in the words of
    ``otherwise``, where it is something else; what was committed stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(schema)
        yield connection
    except sqlite3.OperationalError as error:
        raise RunError(
            f"{path} could not be used: {error}", "see to the disk and run the same command again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise RunError(
            f"{path} {otherwise}: {error}", "move it away and run the command again"
        ) from error
    finally:
        connection.close()


def _complete(connection: sqlite3.Connection) -> None:
    """Give a file of an earlier version the column it lacks; its scores are of other scorers."""
    names = {row[1] for row in connection.execute("PRAGMA table_info(scores)")}
    if "greedy" not in names:
        with connection:
            connection.execute("ALTER TABLE scores ADD COLUMN greedy INTEGER NOT NULL DEFAULT 0")
