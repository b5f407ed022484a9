"""The SQLite file itself: its tables, versions and settings. Knows nothing of threads.

Version 1 had answers and failures only; version 2 added charges, running totals (the sum of
3.4 million rows is wanted while they come in) and the batches that are out at a provider.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bactrian.errors import LedgerError
from bactrian.ledger.entries import CHARGE, ENTRY, TOTAL

VERSION = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, provider TEXT NOT NULL, output TEXT NOT NULL,
  finish TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  characters INTEGER NOT NULL, cost_usd REAL NOT NULL, provider_id TEXT NOT NULL,
  time REAL NOT NULL, attempts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failures (
  key TEXT NOT NULL, why TEXT NOT NULL, attempts INTEGER NOT NULL, time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS charges (
  key TEXT NOT NULL, kind TEXT NOT NULL, provider TEXT NOT NULL, why TEXT NOT NULL,
  output TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  characters INTEGER NOT NULL, cost_usd REAL NOT NULL, time REAL NOT NULL,
  UNIQUE (key, why, time));
CREATE TABLE IF NOT EXISTS totals (
  kind TEXT NOT NULL, provider TEXT NOT NULL, answers INTEGER NOT NULL, charges INTEGER NOT NULL,
  tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, characters INTEGER NOT NULL,
  cost_usd REAL NOT NULL, PRIMARY KEY (kind, provider)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL,
  mark TEXT NOT NULL, remote TEXT NOT NULL, requests INTEGER NOT NULL, tokens REAL NOT NULL,
  reserved REAL NOT NULL, time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS batch_requests (
  key TEXT NOT NULL UNIQUE, batch TEXT NOT NULL, wanted INTEGER NOT NULL, request TEXT NOT NULL,
  attempts INTEGER NOT NULL, again TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS batch_requests_by_batch ON batch_requests (batch, wanted);
"""
INSERT = "INSERT INTO answers VALUES"
ROW = f"({','.join('?' * len(ENTRY))})"
SELECT = f"SELECT {','.join(ENTRY)} FROM answers"
CHARGED = f"INSERT INTO charges VALUES ({','.join('?' * len(CHARGE))}) ON CONFLICT DO NOTHING"
SUMS = "tokens_in", "tokens_out", "characters", "cost_usd"
ADD = (
    f"INSERT INTO totals VALUES ({','.join('?' * len(TOTAL))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in ("answers", "charges", *SUMS))
)
_SUMMED = ", ".join(f"SUM({name})" for name in SUMS)
_BOTH = (
    f"SELECT kind, provider, 1 AS a, 0 AS c, {', '.join(SUMS)} FROM answers UNION ALL "
    f"SELECT kind, provider, 0, 1, {', '.join(SUMS)} FROM charges"
)
RECKON = f"SELECT kind, provider, SUM(a), SUM(c), {_SUMMED} FROM ({_BOTH}) GROUP BY 1, 2"
"""The totals from scratch, by reading everything."""
RECKON_1 = f"SELECT kind, provider, COUNT(*), 0, {_SUMMED} FROM answers GROUP BY 1, 2"
"""The same in a ledger of version 1."""


def connect(path: Path, read_only: bool) -> sqlite3.Connection:
    """Open the file with the right settings; raises LedgerError naming what is wrong with it."""
    if read_only and not path.is_file():
        raise LedgerError(f"{path} does not exist", "run translate or respond first")
    try:
        if read_only:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        if not version_of(connection):
            connection = _begun(connection, read_only)
        _check_version(connection, path, read_only)
        return connection
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"{path} cannot be opened as a ledger: {error}",
            "move the file away, or restore it from a copy, and run the command again",
        ) from error


def _begun(connection: sqlite3.Connection, read_only: bool) -> sqlite3.Connection:
    """Return a ledger that has no version yet, such as a kill right at its beginning leaves.

    Raises sqlite3.Error for a database of something else.
    """
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    if tables and "answers" not in tables:
        raise sqlite3.DatabaseError("it holds other tables")
    if read_only:  # its tables may be missing, and cannot be made: nothing is in it
        connection.close()
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        connection.executescript(SCHEMA)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version that the file was written with; 0 for a new one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def reckon(connection: sqlite3.Connection) -> None:
    """Make the totals anew from what is there."""
    connection.execute("DELETE FROM totals")
    connection.execute(f"INSERT INTO totals {RECKON}")


def _check_version(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    version = version_of(connection)
    if version > VERSION:
        connection.close()
        raise LedgerError(
            f"{path} was written by a newer bactrian (ledger version {version}, known: {VERSION})",
            "upgrade: pip install -U bactrian",
        )
    if version < VERSION and not read_only:
        connection.executescript(SCHEMA)
        with connection:
            if version:
                reckon(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
