"""Which requests are new, and which are paid for: asked of SQLite a few hundred at a time.

Memory does not grow with the number of keys; those that were met spill to a temporary file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from bactrian.ledger import Ledger, key_of
from bactrian.providers import Request

AT_ONCE = 128


class Seen:
    """A set of keys that only grows. A Python set of as many bytes would take 110 bytes a key."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("BEGIN")
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, keys: Sequence[str]) -> list[bool]:
        """Take note of keys (hex digits, a few hundred at once); return which were new."""
        insert = self._connection.execute
        told = "INSERT OR IGNORE INTO seen VALUES (?)"
        new = [insert(told, (bytes.fromhex(key),)).rowcount == 1 for key in keys]
        self._size += sum(new)
        return new


class LookedUp(NamedTuple):
    """A request, and what is known of it."""

    key: str
    request: Request
    is_new: bool
    """The first of its key."""
    is_present: bool
    """New, and its answer is in the ledger."""


def looked_up(requests: Iterable[Request], seen: Seen, ledger: Ledger | None) -> Iterator[LookedUp]:
    """Yield every request with what is known of it, in order."""
    drawn = iter(requests)
    # what this run adds to it was drawn before, and is not new
    answered = ledger if ledger is not None and not ledger.blank() else None
    while some := list(islice(drawn, AT_ONCE)):
        keys = [key_of(request) for request in some]
        new = seen.add(keys)
        present = answered.present(keys) if answered is not None else frozenset()
        for key, request, is_new in zip(keys, some, new, strict=True):
            yield LookedUp(key, request, is_new, is_new and key in present)
