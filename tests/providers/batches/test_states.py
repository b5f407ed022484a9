"""What the ledger says of batches: each change of state is whole, and on disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bactrian.errors import LedgerError
from bactrian.ledger import Entry, Ledger
from bactrian.ledger.batches import Batch, Batches, remotes, unfinished


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Ledger(tmp_path / "vi.sqlite").close()
    return tmp_path / "vi.sqlite"


@pytest.fixture
def batches(path: Path) -> Iterator[Batches]:
    opened = Batches(path)
    yield opened
    opened.close()


def key(number: int) -> str:
    return f"{number:032x}"


def wanted(batches: Batches, count: int) -> None:
    batches.want([(key(number), b'{"n":%d}' % number) for number in range(count)])


def batch(requests: int, name: str = "vi-1") -> Batch:
    counts = (requests, 10.0 * requests, 0.5 * requests)
    return Batch(name, "response", "openai:m", "submitting", "", "", *counts, time.time())


def formed(batches: Batches, requests: int, name: str = "vi-1") -> Batch:
    made = batch(requests, name)
    *_, last = [row for row, _ in zip(batches.queued(), range(requests), strict=False)]
    batches.form(made, last.number)
    return made


def test_a_batch_takes_the_first_of_those_that_wait(batches: Batches, path: Path) -> None:
    wanted(batches, 5)
    made = formed(batches, 3)
    assert [row.key for row in batches.of("vi-1")] == [key(0), key(1), key(2)]
    assert [row.key for row in batches.queued()] == [key(3), key(4)]
    assert (batches.waiting(), batches.out()) == (2, 3)
    assert batches.open() == unfinished(path) == [made]


def test_what_is_out_is_not_queued_again(batches: Batches) -> None:
    wanted(batches, 3)
    formed(batches, 2)
    batches.begin()
    assert (batches.waiting(), batches.out()) == (0, 0), "a new run wants nothing yet"
    wanted(batches, 4)
    assert (batches.waiting(), batches.out()) == (2, 2)
    assert [row.key for row in batches.queued()] == [key(2), key(3)]


def test_a_run_that_was_killed_leaves_no_stale_queue(batches: Batches) -> None:
    wanted(batches, 3)
    batches.begin()
    batches.want([(key(9), b"{}")])
    assert [row.key for row in batches.queued()] == [key(9)], "the recipe may be another one now"


def test_a_state_carries_what_is_known(batches: Batches) -> None:
    wanted(batches, 1)
    made = batches.move(formed(batches, 1), "sending", mark="file-1")
    made = batches.move(made, "sent", remote="batch-1")
    assert (made.state, made.mark, made.remote) == ("sent", "file-1", "batch-1")
    assert batches.open() == [made]


def test_results_and_what_becomes_of_their_requests_are_one_write(
    batches: Batches, path: Path
) -> None:
    wanted(batches, 4)
    made = formed(batches, 4)
    entry = Entry(key(0), "response", "openai:m", "answer", time=1.0)
    batches.settle([entry], [key(0)], [(key(1), 1, '{"server":1}')])
    assert batches.unsettled("vi-1") == 2
    rows = batches.some([key(0), key(1), key(7)])
    assert rows[key(0)].request == "" and rows[key(0)].batch == "vi-1"
    assert (rows[key(1)].batch, rows[key(1)].attempts) == ("", 1)
    assert key(7) not in rows
    with Ledger(path, read_only=True) as ledger:
        assert ledger.get(key(0)) == entry
        assert [total.answers for total in ledger.totals()] == [1]
    batches.shut(made, "expired")
    assert [row.key for row in batches.queued()] == [key(1), key(2), key(3)]
    assert batches.open() == [] and batches.some([key(0)]) == {}
    batches.begin()
    assert [row.attempts for row in batches.some([key(1), key(2)]).values()] == [1], (
        "how often one was asked is remembered, who never was in a batch is not"
    )


def test_a_write_that_fails_changes_nothing(batches: Batches, path: Path) -> None:
    wanted(batches, 2)
    formed(batches, 2)
    with pytest.raises(sqlite3.IntegrityError):
        batches._connection.execute("INSERT INTO batches VALUES ('vi-1',1,1,1,1,1,1,1,1,1)")
    batches._connection.rollback()
    broken = Entry(key(0), "response", "openai:m", None, time=1.0)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="could not be written"):
        batches.settle([broken], [key(0)], [])
    assert batches.unsettled("vi-1") == 2


def test_a_count_that_does_not_fit_is_a_bug_and_writes_nothing(batches: Batches) -> None:
    wanted(batches, 3)
    with pytest.raises(AssertionError, match="3 of 2"):
        batches.form(batch(2), 10**9)
    assert batches.open() == [] and batches.waiting() == 3


def test_the_ids_of_all_ledgers_in_a_folder_are_known(batches: Batches, path: Path) -> None:
    wanted(batches, 1)
    batches.move(formed(batches, 1), "sent", remote="batch-1")
    Ledger(path.with_name("th.sqlite")).close()
    other = Batches(path.with_name("th.sqlite"))
    wanted(other, 2)
    other.shut(other.move(formed(other, 1), "sent", remote="batch-2"), "completed")
    formed(other, 1, "th-2")
    other.close()
    assert remotes(path.parent) == {"batch-1", "batch-2"}


def test_a_ledger_that_is_not_there_has_nothing_out(tmp_path: Path) -> None:
    assert unfinished(tmp_path / "none.sqlite") == []
    assert not (tmp_path / "none.sqlite").exists()
