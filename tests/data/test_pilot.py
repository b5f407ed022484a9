"""A pilot asks for a few rows for real: as many as told, typical ones, and none of them twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian import languages
from bactrian.data.ask import ask
from bactrian.data.collect import collect
from bactrian.data.pilot import STRATA, chosen, pilot
from bactrian.data.providers import engage, spending
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.ledger import Ledger, key_of
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
DEMO = Path(__file__).parents[2] / "demo" / "alpaca.json"
VIETNAMESE, ENGLISH = languages.get("vi"), languages.get("en")
RECIPE = {
    "translate": {"using": "fake", "price": {"characters": 20.0}},
    "respond": {"using": "fake", "price": {"input": 0.15, "output": 0.6}},
}


@pytest.fixture
def alpaca(make_project: MakeProject, script: Any) -> Workspace:
    """The demo's rows, collected."""
    workspace = make_project(0, sources={"alpaca": {"files": [str(DEMO)]}}, **RECIPE)
    collect(workspace)
    return workspace


def piloted(workspace: Workspace, rows: int, language: Any = VIETNAMESE) -> Any:
    using = engage("translate", workspace), engage("respond", workspace)
    return pilot(workspace, language, chosen(workspace, rows), *using)


@pytest.mark.parametrize("count", [1, 3, 7, 8, 10, 20, 100])
def test_as_many_rows_as_told_and_the_same_ones_again(alpaca: Workspace, count: int) -> None:
    rows = chosen(alpaca, count)
    assert len({row.example.id for row in rows}) == len(rows) == count
    assert chosen(alpaca, count) == rows
    assert chosen(open_workspace(alpaca.root, ("seed=5",)), count) != rows


def test_more_than_there_are_is_all_of_them(make_project: MakeProject, script: Any) -> None:
    workspace = make_project(10, **RECIPE)
    collect(workspace)
    assert len(chosen(workspace, 10)) == 10
    assert len(chosen(workspace, 500)) == 10


def test_short_and_long_tasks_are_drawn_alike(alpaca: Workspace) -> None:
    def length(row: Any) -> int:
        return len(row.example.instruction) + len(row.example.input)

    every = sorted(length(row) for row in chosen(alpaca, 10_000))
    edges = [every[len(every) * part // STRATA] for part in range(1, STRATA)]
    rows = chosen(alpaca, 40)
    counted = [0] * STRATA
    for row in rows:
        counted[sum(length(row) >= edge for edge in edges)] += 1
    assert min(counted) >= 3, counted
    mean = sum(map(length, rows)) / len(rows)
    assert mean == pytest.approx(sum(every) / len(every), rel=0.25)


def test_rows_that_nobody_asks_for_are_not_drawn(alpaca: Workspace) -> None:
    everything = chosen(alpaca, 10_000)
    assert not any(flag.check == "programming" for row in everything for flag in row.flags)
    protected = open_workspace(alpaca.root, ('translate.programming="protect"',))
    assert len(chosen(protected, 10_000)) > len(everything)


def test_it_costs_what_it_says_and_is_not_asked_for_again(alpaca: Workspace, script: Any) -> None:
    done = piloted(alpaca, 8)
    assert (done.rows, done.answered) == (8, 8)
    sums = spending(alpaca)
    assert {one.kind: one.answers for one in sums} == {"response": 8, "translation": 8}
    assert done.cost_usd > 0
    assert done.cost_usd == pytest.approx(sum(one.cost_usd for one in sums))
    assert not alpaca.stage("translated", "vi").exists()
    first = {key_of(request) for request in script.clear()}
    assert len(first) == 16
    translated = ask(translating(alpaca, VIETNAMESE, engage("translate", alpaca)))
    answered = ask(responding(alpaca, VIETNAMESE, engage("respond", alpaca)))
    second = {key_of(request) for request in script.clear()}
    assert not first & second
    assert translated.missing == answered.missing == 0
    with Ledger(alpaca.ledger(VIETNAMESE), read_only=True) as ledger:
        assert len(ledger) == len(first | second)
    again = piloted(alpaca, 8)
    assert (again.rows, again.answered, again.cost_usd) == (8, 8, 0.0)
    assert script.sent == []


def test_what_a_pilot_could_not_get_is_counted(alpaca: Workspace, script: Any) -> None:
    rows = chosen(alpaca, 8)
    script.silent = (rows[0].example.instruction[:12], rows[1].example.instruction[:12].upper())
    done = piloted(alpaca, 8)
    assert (done.rows, done.answered) == (8, 6)


def test_english_is_not_piloted(alpaca: Workspace, script: Any) -> None:
    assert piloted(alpaca, 8, ENGLISH).rows == 0
    assert script.sent == []


def test_rows_that_the_language_has_itself_are_not_paid_for(
    make_project: MakeProject, script: Any
) -> None:
    own = [
        {"id": f"alpaca-{n}", "instruction": f"Câu hỏi {n}?", "output": f"{n}"} for n in range(5)
    ]
    sources = {"alpaca": {"files": ["alpaca.json"]}, "vi": {"files": ["vi.json"], "language": "vi"}}
    workspace = make_project(10, sources=sources, **RECIPE)
    (workspace.root / "vi.json").write_bytes(orjson.dumps(own))
    collect(workspace)
    done = piloted(workspace, 10)
    assert (done.rows, done.answered) == (5, 5)
    paid = {key_of(request) for request in script.clear()}
    ask(translating(workspace, VIETNAMESE, engage("translate", workspace)))
    ask(responding(workspace, VIETNAMESE, engage("respond", workspace)))
    assert script.sent == []
    assert len(paid) == 10
