"""ledger merge and ledger show, as a user types them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.files import locked
from bactrian.ledger import VERSION, Charge, Entry, Ledger
from bactrian.ledger.batches import OPEN, Batch, unfinished

Run = Callable[..., Any]


def made(path: Path, keys: str, *, provider: str = "fake:m", cost: float = 0.5) -> Path:
    """Write a ledger with an answer for each letter, and one charge and one failure."""
    with Ledger(path) as ledger:
        for number, key in enumerate(keys):
            ledger.put(
                Entry(key, "response", provider, f"answer {key}", cost_usd=cost, time=number + 1.0)
            )
        ledger.charge(
            Charge(f"{keys}-x", "response", provider, "language", "No.", 0, 0, 0, 0.25, 9.0)
        )
        ledger.put_failure(f"{keys}-y", "refused", 1)
    return path


def keys_of(path: Path) -> list[str]:
    with Ledger(path, read_only=True) as ledger:
        return [entry.key for entry in ledger.entries()]


def usd(path: Path) -> float:
    with Ledger(path, read_only=True) as ledger:
        return sum(total.cost_usd for total in ledger.totals())


def refused(done: Any, code: int, problem: str) -> None:
    lines = done.err.strip().splitlines()
    assert done.code == code, done.err
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: ")
    assert problem in lines[0]
    assert lines[1].startswith("hint: ")


def workspace(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('name = "toy"\nlanguages = "vi"\n', encoding="utf-8")
    return folder


# -- abandon ---------------------------------------------------------------------------------------


def test_a_batch_that_is_gone_is_forgotten_and_no_other(run: Run, tmp_path: Path) -> None:
    path = made(tmp_path / "vi.sqlite", "a")
    told = {"name": "vi-1", "kind": "response", "provider": "fake:m", "state": OPEN[0], "mark": ""}
    values = {**dict.fromkeys(Batch._fields, 0), **told}
    names = [name for name in values if name in columns(path)]
    with sqlite3.connect(path) as connection:
        marks = ",".join("?" * len(names))
        insert = f"INSERT INTO batches ({','.join(names)}) VALUES ({marks})"
        connection.execute(insert, [values[name] for name in names])
    connection.close()
    refused(run("ledger", "abandon", path, "vi-2"), 9, "knows no batch vi-2 that is out")
    assert [batch.name for batch in unfinished(path)] == ["vi-1"]
    assert "vi-1 is forgotten" in run("ledger", "abandon", path, "vi-1").out
    assert unfinished(path) == []
    absent = tmp_path / "km.sqlite"
    refused(run("ledger", "abandon", absent, "km-1"), 9, "knows no batch km-1 that is out")
    assert not absent.exists()


def columns(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {row[1] for row in connection.execute("PRAGMA table_info(batches)")}
    connection.close()
    return found


# -- merge -----------------------------------------------------------------------------------------


def test_files_go_into_one_and_a_second_time_changes_nothing(run: Run, tmp_path: Path) -> None:
    into = made(tmp_path / "into.sqlite", "ab")
    others = [made(tmp_path / "one.sqlite", "cd"), made(tmp_path / "two.sqlite", "e")]
    told = json.loads(run("ledger", "merge", into, *others, "--json").out)
    assert told == {str(into): {"read": 3, "new": 3, "repeated": 0, "known": 0}}
    assert keys_of(into) == ["a", "b", "c", "d", "e"]
    assert usd(into) == pytest.approx(5 * 0.5 + 3 * 0.25)
    again = run("ledger", "merge", into, *others)
    assert "3 read: 0 new, 0 paid for twice, 3 known" in again.out
    assert keys_of(into) == ["a", "b", "c", "d", "e"]
    assert usd(into) == pytest.approx(5 * 0.5 + 3 * 0.25)
    with Ledger(into, read_only=True) as ledger:
        assert sorted(ledger.failures()) == ["ab-y", "cd-y", "e-y"]
        assert len(list(ledger.charges())) == 3


def test_what_two_have_paid_for_is_kept_as_a_charge(run: Run, tmp_path: Path) -> None:
    into = made(tmp_path / "into.sqlite", "a")
    with Ledger(tmp_path / "two.sqlite") as ledger:
        ledger.put(Entry("a", "response", "fake:m", "another answer", cost_usd=0.5, time=7.0))
    for repeated in (1, 0):
        told = json.loads(run("ledger", "merge", into, tmp_path / "two.sqlite", "--json").out)
        assert told[str(into)]["repeated"] == repeated
        assert usd(into) == pytest.approx(0.5 + 0.25 + 0.5)
    with Ledger(into, read_only=True) as ledger:
        entry = ledger.get("a")
        assert entry is not None
        assert entry.output == "answer a", "the first stays"


@pytest.mark.parametrize("place", ["workspace", "dataset", "ledger"])
def test_folders_go_by_the_names_of_their_files(run: Run, tmp_path: Path, place: str) -> None:
    """A workspace, its dataset and its ledgers name the same, on either side."""
    inside = {"workspace": ".", "dataset": "datasets/toy", "ledger": "datasets/toy/ledger"}[place]
    for name, keys in (("first", "ab"), ("second", "bc")):
        ledgers = workspace(tmp_path / name) / "datasets/toy/ledger"
        for code in ("vi", "km"):
            made(ledgers / f"{code}.sqlite", keys)
    done = run("ledger", "merge", tmp_path / "first" / inside, tmp_path / "second" / inside)
    assert done.code == 0, done.err
    found = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.sqlite"))
    assert len(found) == 4, "a ledger was made where no run looks for it"
    for code in ("vi", "km"):
        assert keys_of(tmp_path / f"first/datasets/toy/ledger/{code}.sqlite") == ["a", "b", "c"]


def test_into_a_workspace_that_has_no_ledger_yet(run: Run, tmp_path: Path) -> None:
    source = made(tmp_path / "other/vi.sqlite", "ab")
    root = workspace(tmp_path / "fresh")
    assert run("ledger", "merge", root, tmp_path / "other").code == 0
    assert keys_of(root / "datasets/toy/ledger/vi.sqlite") == keys_of(source)


def test_a_ledger_of_version_1_is_taken_in(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    with sqlite3.connect(old) as connection:
        connection.executescript(
            "CREATE TABLE answers (key TEXT NOT NULL UNIQUE, kind TEXT, provider TEXT, "
            "output TEXT, finish TEXT, tokens_in INTEGER, tokens_out INTEGER, "
            "characters INTEGER, cost_usd REAL, provider_id TEXT, time REAL, attempts INTEGER);"
            "CREATE TABLE failures (key TEXT, why TEXT, attempts INTEGER, time REAL);"
            "INSERT INTO answers VALUES ('z','response','p','o','stop',1,2,3,0.5,'',1.0,1);"
            "PRAGMA user_version = 1"
        )
    connection.close()
    into = made(tmp_path / "into.sqlite", "a")
    assert "1 read: 1 new" in run("ledger", "merge", into, old).out
    assert keys_of(into) == ["a", "z"]


def test_what_cannot_be_merged_is_said_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    into = made(tmp_path / "into.sqlite", "ab")
    newer = made(tmp_path / "newer.sqlite", "c")
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()
    text = tmp_path / "text.sqlite"
    text.write_text("no database, but a text that is long enough to be taken for one" * 9)
    (tmp_path / "empty").mkdir()
    for other, problem in (
        (newer, "was written by a newer bactrian"),
        (into, "cannot be merged into itself"),
        (foreign, "foreign.sqlite c"),
        (text, "cannot be opened as a ledger"),
        (tmp_path / "empty", "holds no ledgers"),
        (tmp_path / "nowhere.sqlite", "holds no ledgers"),
    ):
        refused(run("ledger", "merge", into, other), 9, problem)
        assert keys_of(into) == ["a", "b"]
        assert usd(into) == pytest.approx(2 * 0.5 + 0.25)
    refused(run("ledger", "merge", newer, into), 9, "was written by a newer bactrian")


def test_what_was_merged_before_a_bad_one_stays(run: Run, tmp_path: Path) -> None:
    into = made(tmp_path / "into.sqlite", "a")
    good = made(tmp_path / "good.sqlite", "b")
    refused(run("ledger", "merge", into, good, into), 9, "into itself")
    assert keys_of(into) == ["a", "b"]


def test_a_ledger_that_a_run_is_writing_is_left_to_it(run: Run, tmp_path: Path) -> None:
    into, other = made(tmp_path / "into.sqlite", "a"), made(tmp_path / "other.sqlite", "b")
    with locked(into.parent, into.name):
        refused(run("ledger", "merge", into, other), 8, "is in use by process")
    assert keys_of(into) == ["a"]


def test_batches_that_are_out_stay_with_the_ledger_that_sent_them(run: Run, tmp_path: Path) -> None:
    into, other = made(tmp_path / "into.sqlite", "a"), made(tmp_path / "other.sqlite", "b")
    with sqlite3.connect(other) as connection:
        for name, state in (("out", "sent"), ("done", "collected")):
            row = (name, "response", "openai:m", state, "", f"id-{name}", 3, 9.0, 0.5, 1.0)
            connection.execute("INSERT INTO batches VALUES (?,?,?,?,?,?,?,?,?,?)", row)
    connection.close()
    assert run("ledger", "merge", into, other).code == 0
    with sqlite3.connect(into) as connection:
        assert connection.execute("SELECT name FROM batches").fetchall() == [("done",)]
    connection.close()


# -- show ------------------------------------------------------------------------------------------


def test_show_sums_up_files_and_folders(run: Run, tmp_path: Path) -> None:
    root = workspace(tmp_path / "work")
    made(root / "datasets/toy/ledger/vi.sqlite", "abc")
    extra = made(tmp_path / "extra.sqlite", "d", provider="other:m")
    done = run("ledger", "show", root, extra)
    assert done.code == 0
    first, second = done.out.splitlines()
    assert "response by fake:m: 3 answers, 1 paid for nothing" in first
    assert "1.7500 USD" in first
    assert "response by other:m: 1 answers" in second
    told = json.loads(run("ledger", "show", root, "--json").out)
    assert [(one["answers"], one["charges"], one["cost_usd"]) for one in told] == [(3, 1, 1.75)]


def test_show_refuses_what_is_no_ledger(run: Run, tmp_path: Path) -> None:
    refused(run("ledger", "show", tmp_path), 9, "holds no ledgers")
    text = tmp_path / "text.sqlite"
    text.write_text("no database, but a text that is long enough to be taken for one" * 9)
    refused(run("ledger", "show", text), 9, "cannot be opened as a ledger")
