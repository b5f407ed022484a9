"""The two ways of a translation: with signs, and in pieces where a sign came back broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from bactrian import languages, table
from bactrian.data.ask import Asked, ask
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.translate import translating
from bactrian.ledger import Ledger
from bactrian.schema import Example
from bactrian.workspace import Workspace

MakeProject = Callable[..., Workspace]
VIETNAMESE = languages.get("vi")
PLAIN = {"instruction": "Name three colours.", "output": "Red, green, blue."}
CODE = {
    "instruction": "Explain what `sum(x)` does.",
    "input": "See https://a.org/b?c=1 for more.",
    "output": "It adds.",
}
FRAGILE = {"instruction": "Explain `f(x)` to a fragile camel.", "output": "Gladly."}
TORN = {
    "instruction": "Tell what `g(x)` does.",
    "input": "A fragile text with https://a.org/b in it.",
    "output": "Much.",
}
MIXED = (PLAIN, FRAGILE, CODE, TORN)


def project(make_project: MakeProject, rows: tuple[dict[str, str], ...]) -> Workspace:
    workspace = make_project(0, translate={"using": "fake"})
    numbered = [{"id": f"alpaca-{number}", **row} for number, row in enumerate(rows)]
    (workspace.root / "alpaca.json").write_bytes(orjson.dumps(numbered))
    collect(workspace)
    return workspace


def translated(workspace: Workspace) -> tuple[Asked, list[Example]]:
    done = ask(translating(workspace, VIETNAMESE, engage("translate", workspace)))
    return done, [row.example for row in table.read(done.path)]


def texts(script: Any) -> list[str]:
    return [text for request in script.clear() for text in request["texts"]]


def test_what_comes_back_broken_is_asked_for_in_pieces(
    make_project: MakeProject, script: Any
) -> None:
    workspace = project(make_project, MIXED)
    done, rows = translated(workspace)
    first, second = done.filled
    assert (first.need.rows, first.answered) == (4, 4)
    assert (second.need.rows, second.answered) == (2, 2)
    assert (done.rows, done.missing) == (4, 0)
    assert rows[1].instruction == "EXPLAIN `f(x)` TO A FRAGILE CAMEL."
    assert rows[3].instruction == "TELL WHAT `g(x)` DOES."
    assert rows[3].input == "A FRAGILE TEXT WITH https://a.org/b IN IT."
    flags = [
        [flag for flag in row.flags if flag.check == "pieces"] for row in table.read(done.path)
    ]
    assert [len(found) for found in flags] == [0, 1, 0, 1]
    assert (flags[1][0].severity, flags[1][0].evidence) == ("warn", "`f(x)`")
    with Ledger(workspace.ledger(VIETNAMESE), read_only=True) as ledger:
        keys = {entry.key for entry in ledger.entries()}
    assert len(keys) == 6, "what was paid for the first way is kept"
    assert {row.provenance.translation_key for row in rows} < keys


def test_a_row_that_fails_in_pieces_says_both_and_only_the_pieces_are_asked_again(
    make_project: MakeProject, script: Any
) -> None:
    workspace = project(make_project, MIXED)
    script.silent = ('"to a fragile camel."',)
    done, rows = translated(workspace)
    assert (done.rows, done.answered, done.missing) == (4, 3, 1)
    assert rows[1].missing == (
        "no translation: broken in it: `f(x)`; in pieces: refused by the script"
    )
    assert (rows[1].instruction, rows[1].input) == ("", "")
    script.silent = ()
    script.clear()
    done, rows = translated(workspace)
    assert done.missing == 0
    assert texts(script) == ["Explain", "to a fragile camel."]
    assert rows[1].instruction == "EXPLAIN `f(x)` TO A FRAGILE CAMEL."


def test_finished_work_of_two_ways_is_recognised(make_project: MakeProject, script: Any) -> None:
    workspace = project(make_project, MIXED)
    first, _ = translated(workspace)
    data = first.path.read_bytes()
    script.clear()
    assert translated(workspace)[0].filled == ()
    first.path.unlink()
    again, _ = translated(workspace)
    assert script.sent == []
    assert again.path.read_bytes() == data


def test_what_is_only_code_is_not_sent_and_passes(make_project: MakeProject, script: Any) -> None:
    rows = ({"instruction": "2 + 2 = ?", "output": "4"}, PLAIN)
    workspace = project(make_project, rows)
    done, found = translated(workspace)
    assert texts(script) == [PLAIN["instruction"]]
    assert (found[0].instruction, found[0].language, found[0].output) == ("2 + 2 = ?", "vi", "")
    assert (done.rows, done.missing) == (2, 0)
