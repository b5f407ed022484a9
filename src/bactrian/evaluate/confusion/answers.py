"""Answers that models wrote, kept as each batch ends and never written twice.

Keyed as scores are: by what wrote them (base, adapter, dtype) and by what was asked (the prompts'
token ids and the longest answer).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bactrian.evaluate.store import database

NAME = "answers.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  scorer TEXT NOT NULL, asked TEXT NOT NULL, item TEXT NOT NULL,
  text TEXT NOT NULL, tokens INTEGER NOT NULL, cut INTEGER NOT NULL,
  PRIMARY KEY (scorer, asked, item)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Written:
    """One answer to one prompt."""

    item: str
    text: str
    tokens: int
    """Without the end token."""
    cut: bool
    """It ended at the limit of tokens."""


class Answers:
    """An open file of answers; one transaction a batch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def put(self, scorer: str, asked: str, written: Iterable[Written]) -> None:
        """Commit the answers of a batch; one that is there stays as it is."""
        rows = ((scorer, asked, one.item, one.text, one.tokens, int(one.cut)) for one in written)
        with self.connection:
            self.connection.executemany("INSERT OR IGNORE INTO answers VALUES (?,?,?,?,?,?)", rows)

    def get(self, scorer: str, asked: str) -> dict[str, Written]:
        """Return what is there of one model on one set of prompts, by item."""
        rows = self.connection.execute(
            "SELECT item, text, tokens, cut FROM answers WHERE scorer = ? AND asked = ?",
            (scorer, asked),
        )
        return {item: Written(item, text, tokens, bool(cut)) for item, text, tokens, cut in rows}


@contextmanager
def open_answers(path: Path) -> Iterator[Answers]:
    """Open the file, made where it is not there; raises RunError as ``store.database``."""
    with database(path, SCHEMA, "has no answers") as connection:
        yield Answers(connection)
