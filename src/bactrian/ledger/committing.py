"""Writes a group of what arrived into the tables, in the caller's transaction.

Many rows go into one statement: for each, Python lets go of its lock once, and a writer that asks
for it a thousand times a second keeps the event loop beside it waiting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from bactrian.ledger.entries import Charge, Entry, Failure
from bactrian.ledger.tables import ADD, CHARGED, INSERT, ROW

Arrived = Entry | Charge | Failure
PARTS = (64, 8, 1)
"""Rows of a statement, the largest first: few shapes, so that each is compiled once."""
KEYS = 512
"""Keys that are looked for at once."""


def commit(connection: sqlite3.Connection, group: Sequence[Arrived]) -> None:
    """Write a group into the tables and its sums into the totals.

    The first answer under a key stays; a second one is among the charges as ``repeated``.
    """
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")  # what is looked for stays as it is found
    cursor = connection.cursor()
    new = _put(cursor, [what for what in group if isinstance(what, Entry)])
    sums: dict[tuple[str, str], list[float]] = {}
    for what in group:
        if isinstance(what, Failure):
            cursor.execute("INSERT INTO failures VALUES (?,?,?,?)", what)
            continue
        is_new = isinstance(what, Entry) and next(new)
        if not is_new:
            charge = what if isinstance(what, Charge) else _repeated(what)
            if cursor.execute(CHARGED, charge).rowcount != 1:
                continue  # merged before
        total = sums.setdefault((what.kind, what.provider), [0, 0, 0, 0, 0, 0.0])
        total[not is_new] += 1
        total[2] += what.tokens_in
        total[3] += what.tokens_out
        total[4] += what.characters
        total[5] += what.cost_usd
    cursor.executemany(ADD, [(*which, *total) for which, total in sums.items()])


def present(reader: sqlite3.Connection | sqlite3.Cursor, keys: Sequence[str]) -> frozenset[str]:
    """Return those of a few hundred keys whose answer is in the table."""
    marks = ",".join("?" * len(keys))
    found = reader.execute(f"SELECT key FROM answers WHERE key IN ({marks})", keys)
    return frozenset(key for (key,) in found)


def _put(cursor: sqlite3.Cursor, entries: Sequence[Entry]) -> Iterator[bool]:
    """Insert the answers; return whether each was the first under its key."""
    keys = [one.key for one in entries]
    known: set[str] = set()
    for start in range(0, len(keys), KEYS):
        known |= present(cursor, keys[start : start + KEYS])
    told, fresh = [], []
    for one in entries:
        told.append(one.key not in known)
        if told[-1]:
            known.add(one.key)
            fresh.append(one)
    start = 0
    for size in PARTS:
        while len(fresh) - start >= size:
            part = fresh[start : start + size]
            cursor.execute(_insert(size), tuple(chain.from_iterable(part)))
            start += size
    return iter(told)


@cache
def _insert(rows: int) -> str:
    return f"{INSERT} {','.join([ROW] * rows)}"


def _repeated(entry: Entry) -> Charge:
    return Charge(
        entry.key,
        entry.kind,
        entry.provider,
        "repeated",
        entry.output,
        entry.tokens_in,
        entry.tokens_out,
        entry.characters,
        entry.cost_usd,
        entry.time,
    )
