"""Scores that are kept as each batch ends, apart by scorer and by what was asked."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from bactrian.errors import RunError
from bactrian.evaluate.store import Scored, open_store

ONE = Scored("1", 0, -1.25, 3, 0)
TWO = Scored("1", 1, -0.1, 2, 5, greedy=True)


def test_what_was_put_is_there_again(tmp_path: Path) -> None:
    with open_store(tmp_path / "new" / "scores.sqlite") as store:
        store.put("base", "task", [ONE, TWO])
    with open_store(tmp_path / "new" / "scores.sqlite") as store:
        assert store.get("base", "task") == {("1", 0): ONE, ("1", 1): TWO}


def test_scorers_and_questions_never_mix(tmp_path: Path) -> None:
    with open_store(tmp_path / "scores.sqlite") as store:
        store.put("base", "task", [ONE])
        store.put("adapter", "task", [TWO])
        assert store.get("base", "task") == {("1", 0): ONE}
        assert store.get("base", "other task") == {}
        assert store.get("adapter", "task") == {("1", 1): TWO}


def test_a_batch_is_committed_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    with open_store(path) as store:
        store.put("base", "task", [ONE])
        with open_store(path) as beside:
            assert beside.get("base", "task") == {("1", 0): ONE}


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path / "scores.sqlite") as store:
        with pytest.raises(ZeroDivisionError):
            store.put("base", "task", (ONE if part else 1 / 0 for part in (1, 0)))  # type: ignore[misc]
        assert store.get("base", "task") == {}


def test_a_score_put_again_is_the_new_one(tmp_path: Path) -> None:
    with open_store(tmp_path / "scores.sqlite") as store:
        store.put("base", "task", [ONE])
        store.put("base", "task", [Scored("1", 0, -9.0, 3, 0)])
        assert store.get("base", "task")["1", 0].log_likelihood == -9.0


def test_log_likelihoods_keep_every_bit(tmp_path: Path) -> None:
    value = -0.1 - 2**-54
    with open_store(tmp_path / "scores.sqlite") as store:
        store.put("base", "task", [Scored("1", 0, value, 1, 0)])
        assert store.get("base", "task")["1", 0].log_likelihood == value


def test_a_file_that_is_no_score_file_is_a_users_error(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_bytes(b"words, not scores" * 100)
    with pytest.raises(RunError, match="is no score file"), open_store(path):
        pass


def test_a_full_disk_is_told_and_keeps_what_was_there(tmp_path: Path) -> None:
    with open_store(tmp_path / "scores.sqlite") as store:
        store.put("base", "task", [ONE])
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [Scored("x" * 1000, number, 0.0, 1, 0) for number in range(100)]
        with pytest.raises(RunError, match="could not be written") as caught:
            store.put("base", "task", many)
        assert "kept" in caught.value.hint
        assert store.get("base", "task") == {("1", 0): ONE}


def test_a_file_in_use_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    with open_store(path) as store, pytest.raises(RunError, match="could not be used"):
        store.put("base", "task", [ONE])
        with open_store(path):
            raise sqlite3.OperationalError("database is locked")


def test_what_is_published_does_not_tell_how_it_came_about(tmp_path: Path) -> None:
    other = Scored("ខ", 0, -0.1 - 2**-54, 2, 0)
    with open_store(tmp_path / "once.sqlite") as store:
        store.put("base", "task", [ONE, TWO])
        store.put("adapter", "task", [other])
        store.publish(tmp_path / "once.jsonl")
        assert [row[0] for row in store.rows()] == ["adapter", "base", "base"]
    with open_store(tmp_path / "twice.sqlite") as store:
        store.put("base", "task", [TWO])
        store.put("adapter", "task", [other])
    with open_store(tmp_path / "twice.sqlite") as store:
        store.put("base", "task", [TWO, ONE])
        store.publish(tmp_path / "twice.jsonl")
    written = (tmp_path / "once.jsonl").read_bytes()
    assert written == (tmp_path / "twice.jsonl").read_bytes()
    told = [json.loads(line) for line in written.decode().splitlines()]
    assert told[0]["log_likelihood"] == -0.1 - 2**-54
    assert told[0]["item"] == "ខ"
    assert told[2] == {"scorer": "base", "task": "task", **asdict(TWO)}


def test_a_file_of_an_earlier_version_is_completed_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE scores (scorer TEXT NOT NULL, task TEXT NOT NULL, item TEXT NOT NULL, "
            "option INTEGER NOT NULL, log_likelihood REAL NOT NULL, tokens INTEGER NOT NULL, "
            "dropped INTEGER NOT NULL, UNIQUE (scorer, task, item, option))"
        )
        connection.execute("INSERT INTO scores VALUES ('old', 'task', '1', 0, -1.25, 3, 0)")
    for _ in range(2):
        with open_store(path) as store:
            store.put("new", "task", [TWO])
            assert store.get("old", "task") == {("1", 0): ONE}
            assert store.get("new", "task") == {("1", 1): TWO}
