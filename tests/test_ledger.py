"""The ledger: keys, group commit, readers while it is written, kill -9, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import bactrian.ledger as module
from bactrian.errors import LedgerError
from bactrian.ledger import Charge, Entry, Ledger, Total, key_of, tables
from bactrian.ledger.merge import Merged, merge
from bactrian.ledger.tables import reckon


def entry(number: int, output: str = "ok") -> Entry:
    return Entry(key_of({"n": number}), "response", "scripted", output)


def test_key_is_that_of_the_canonical_json_and_the_sample() -> None:
    assert key_of({"a": 1, "b": "ខ្មែរ"}) == key_of({"b": "ខ្មែរ", "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 1}, sample=1)
    assert key_of({"a": 1}) != key_of({"a": 2})
    # pinned: a change of the key would make everybody pay again
    assert key_of({"model": "m", "text": ["Hallo"]}) == "609e9b18345753ef06c74777c6b31159"


def test_an_answer_survives_closing(tmp_path: Path) -> None:
    path = tmp_path / "zh.sqlite"
    with Ledger(path) as ledger:
        ledger.put(entry(1, "一"))
    with Ledger(path, read_only=True) as ledger:
        found = ledger.get(key_of({"n": 1}))
        assert found == entry(1, "一")
        assert ledger.get(key_of({"n": 2})) is None
        assert len(ledger) == 1


def test_the_first_answer_under_a_key_stays(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put(entry(1, "first"))
        ledger.flush()
        ledger.put(entry(1, "second"))
        ledger.flush()
        found = ledger.get(key_of({"n": 1}))
        assert found is not None
        assert found.output == "first"


def test_another_reader_sees_what_is_committed_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with Ledger(path) as writer, Ledger(path, read_only=True) as reader:
        for number in range(100):
            writer.put(entry(number))
        writer.flush()
        assert len(reader) == 100
        writer.put(entry(100))
        deadline = time.monotonic() + 5
        while len(reader) < 101 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(reader) == 101


def test_failures_are_kept_until_an_answer_comes(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_failure(key_of({"n": 1}), "no answer", 3)
        ledger.put_failure(key_of({"n": 2}), "refused", 1)
        ledger.flush()
        assert ledger.failures() == {key_of({"n": 1}): "no answer", key_of({"n": 2}): "refused"}
        ledger.put(entry(1))
        ledger.flush()
        assert ledger.failures() == {key_of({"n": 2}): "refused"}


def test_ledgers_merge_and_merging_again_changes_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path / "a.sqlite") as a, Ledger(tmp_path / "b.sqlite") as b:
        a.put(entry(1, "a"))
        b.put(entry(1, "b"))
        b.put(entry(2, "b"))
        b.charge(Charge(key_of({"n": 3}), "response", "scripted", "malformed", cost_usd=0.5))
        b.put_failure(key_of({"n": 4}), "no answer", 3)
    assert merge(a.path, [b.path]) == Merged(read=2, new=1, repeated=1)
    for _ in range(2):
        with Ledger(a.path, read_only=True) as merged:
            assert [found.output for found in merged.entries()] == ["a", "b"]
            assert [found.why for found in merged.charges()] == ["malformed", "repeated"]
            assert merged.totals() == (Total("response", "scripted", 2, 2, 0, 0, 0, 0.5),)
            assert merged.failures() == {key_of({"n": 4}): "no answer"}
        assert merge(a.path, [b.path]) == Merged(read=2, new=0, repeated=0)
    with pytest.raises(LedgerError, match="into itself"):
        merge(a.path, [a.path])


def test_totals_are_what_the_rows_sum_to(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        for number in range(100):
            key = key_of({"n": number})
            ledger.put(Entry(key, "response", "scripted", "ok", tokens_out=number, cost_usd=0.25))
            if number % 10 == 0:
                why = "length"
                ledger.charge(Charge(key, "response", "scripted", why, cost_usd=1, time=number))
        ledger.put(Entry(key_of({"n": 7}), "response", "scripted", "again", cost_usd=0.25))
        ledger.flush()
        kept = ledger.totals()
    assert kept == (Total("response", "scripted", 100, 11, 0, 4950, 0, 35.25),)
    with sqlite3.connect(path) as connection:
        reckon(connection)
    connection.close()
    with Ledger(path, read_only=True) as ledger:
        assert ledger.totals() == kept


def test_a_ledger_of_version_1_is_read_and_grows_up(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with Ledger(path) as ledger:
        ledger.put(Entry(key_of({"n": 1}), "response", "scripted", "ok", cost_usd=0.5))
    with sqlite3.connect(path) as connection:
        for name in ("charges", "totals", "batches"):
            connection.execute(f"DROP TABLE {name}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for read_only in (True, False, True):
        with Ledger(path, read_only=read_only) as ledger:
            assert ledger.totals() == (Total("response", "scripted", 1, 0, 0, 0, 0, 0.5),)
            assert list(ledger.charges()) == []


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(LedgerError, match="newer bactrian"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one" * 40)
    with pytest.raises(LedgerError, match=r"l\.sqlite cannot be opened"):
        Ledger(path)


def test_a_full_disk_is_said_and_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        ledger.put(entry(1))
    with sqlite3.connect(path) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    original = tables.connect

    def small(path: Path, read_only: bool) -> sqlite3.Connection:
        connection = original(path, read_only)
        # a limit on pages gives the very error of a full disk, SQLITE_FULL
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "connect", small)
        full = Ledger(path)
        for number in range(2, 300):
            full.put(entry(number, "x" * 1000))
        with pytest.raises(LedgerError, match="could not be written"):
            full.flush()
        with pytest.raises(LedgerError, match="committed answers are safe"):
            full.close()
    with Ledger(path, read_only=True) as left:
        assert left.has(key_of({"n": 1}))


def test_kill_nine_loses_at_most_the_last_group(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from bactrian.ledger import Entry, Ledger, key_of
        ledger = Ledger(Path({str(path)!r}))
        for number in range(10_000):
            ledger.put(Entry(key_of({{"n": number}}), "response", "scripted", "ok"))
            print(number, flush=True)
            time.sleep(0.001)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last >= 600:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    with Ledger(path, read_only=True) as left:
        kept = len(left)
        assert [found.key for found in left.entries()] == [
            key_of({"n": number}) for number in range(kept)
        ]
    assert kept >= last - 150  # one group of 50 ms at a thousand a second, and some slack
