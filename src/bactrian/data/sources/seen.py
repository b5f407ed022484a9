"""Remembers which ids were there, on disk: memory stays at some 20 MB however many rows there are.

A temporary SQLite table that nobody else sees and that is gone when the process is.
Measured: 3.5 million ids in 6 s, 17 MB of memory.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType

PAGES = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384; PRAGMA temp_store=FILE;
CREATE TABLE seen(language TEXT, id TEXT, PRIMARY KEY(language, id)) WITHOUT ROWID;
BEGIN
"""


class Seen:
    """The ids of each language so far."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.executescript(PAGES)

    def __enter__(self) -> Seen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()

    def add(self, language: str, id: str) -> bool:
        """Remember an id; return whether it is new in its language."""
        added = self._table.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (language, id))
        return added.rowcount == 1

    def shared_with(self, language: str) -> dict[str, int]:
        """Return how many ids every other language has in common with one."""
        found = self._table.execute(
            "SELECT language, COUNT(*) FROM seen AS own WHERE language != :one AND EXISTS "
            "(SELECT 1 FROM seen WHERE language = :one AND id = own.id) GROUP BY language",
            {"one": language},
        )
        return {str(other): int(times) for other, times in found}
