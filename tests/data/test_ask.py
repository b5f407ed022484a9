"""Asking and deriving: paid once, never invented, the same bytes however often it broke off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages, table
from bactrian.data.ask import Asked, Asking, ask, need
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.translate import translating
from bactrian.errors import DataError, ProviderError, RunError
from bactrian.files import locked
from bactrian.ledger import Ledger
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
VIETNAMESE, ENGLISH = languages.get("vi"), languages.get("en")
SLOW = """
import asyncio, sys
from pathlib import Path
import orjson
from bactrian import languages
from bactrian.data.ask import ask
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.translate import translating
from bactrian.providers import Answer
from bactrian.workspace import open_workspace

class Slow:
    name, batch = "scripted:m", 1
    whole = True
    def request(self, texts, source, target):
        return {"prompt": "", "target": target.code, "texts": list(texts)}
    async def send(self, requests):
        print(requests[0]["texts"][0], flush=True)
        await asyncio.sleep(0.01)
        texts = requests[0]["texts"]
        told = orjson.dumps([f"[vi] {text}" if text else "" for text in texts]).decode()
        return [Answer(told)]

workspace = open_workspace(Path(sys.argv[1]))
collect(workspace)
ask(translating(workspace, languages.get("vi"), engage("translate", workspace, Slow())))
"""


def stage(workspace: Workspace, provider: Any, code: str = "vi") -> Asking:
    collect(workspace)
    return translating(workspace, languages.get(code), engage("translate", workspace, provider))


def sent(provider: Any) -> list[str]:
    return [request["texts"][0] for request in provider.sent]


def test_every_row_is_answered_and_counted(make_project: MakeProject, scripted: Any) -> None:
    provider = scripted()
    asking = stage(make_project(10), provider)
    done = ask(asking)
    assert (done.rows, done.answered, done.missing) == (10, 10, 0)
    assert [one.answered for one in done.filled] == [10]
    assert sent(provider) == [f"Instruction {number}" for number in range(10)]
    rows = [row.example for row in table.read(done.path)]
    assert [row.instruction for row in rows] == [f"[vi] Instruction {n}" for n in range(10)]
    with Ledger(asking.ledger, read_only=True) as ledger:
        assert len(ledger) == 10


def test_finished_work_is_recognised_and_nobody_is_asked(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(10)
    first = ask(stage(workspace, scripted()))
    data, time = first.path.read_bytes(), first.path.stat().st_mtime_ns
    provider = scripted()
    assert ask(stage(workspace, provider)) == Asked(first.path, 10, 10, 0, ())
    assert provider.sent == []
    assert (first.path.read_bytes(), first.path.stat().st_mtime_ns) == (data, time)


def test_a_lost_table_is_derived_again_from_what_was_paid_for(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(10)
    path = ask(stage(workspace, scripted())).path
    data = path.read_bytes()
    path.unlink()
    provider = scripted()
    ask(stage(workspace, provider))
    assert provider.sent == []
    assert path.read_bytes() == data


def test_rows_without_an_answer_flow_through_with_the_reason(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(10)
    provider = scripted()
    provider.silent = {"Instruction 3", "Instruction 7"}
    done = ask(stage(workspace, provider))
    assert (done.rows, done.answered, done.missing) == (10, 8, 2)
    rows = [row.example for row in table.read(done.path)]
    assert [row.id for row in rows] == [f"alpaca-{number}" for number in range(10)]
    for number, row in enumerate(rows):
        if number in (3, 7):
            assert row.missing == "no translation: refused by the script"
            assert (row.instruction, row.input, row.output) == ("", "", ""), "invented"
        else:
            assert row.missing == ""
    again = scripted()
    done = ask(stage(workspace, again))
    assert sent(again) == ["Instruction 3", "Instruction 7"], "only what is missing"
    assert (done.answered, done.missing) == (10, 0)


def test_sources_that_grew_are_paid_for_only_where_they_are_new(
    make_project: MakeProject, scripted: Any
) -> None:
    ask(stage(make_project(20), scripted()))
    provider = scripted()
    done = ask(stage(make_project(22), provider))
    assert sent(provider) == ["Instruction 20", "Instruction 21"]
    assert (done.rows, done.missing) == (22, 0)


def test_a_provider_that_gives_up_is_paid_once(make_project: MakeProject, scripted: Any) -> None:
    workspace = make_project(20, translate={"concurrency": 4})
    first = scripted()
    first.most = 8
    with pytest.raises(ProviderError, match="no credit"):
        ask(stage(workspace, first))
    assert not workspace.stage("translated", "vi").exists()
    second = scripted()
    assert ask(stage(workspace, second)).answered == 20
    assert len(first.sent) == 8
    assert sorted(sent(first) + sent(second)) == sorted(f"Instruction {n}" for n in range(20))


@pytest.mark.parametrize("after", [5, 60, 199])
def test_killed_and_started_again_nothing_is_paid_twice_and_the_bytes_are_the_same(
    make_project: MakeProject, scripted: Any, after: int
) -> None:
    told = {"translate": {"concurrency": 4}}
    whole = ask(stage(make_project(200, "whole", **told), scripted())).path.read_bytes()
    workspace = make_project(200, "broken", **told)
    paid = killed(workspace.root, after)
    provider = scripted()
    done = ask(stage(workspace, provider))
    twice = set(paid) & set(sent(provider))
    assert len(paid) == len(set(paid))
    # four in flight, and twenty that the ledger gathers in its 50 ms; the rest is slack
    assert len(twice) <= 40
    assert set(paid) | set(sent(provider)) == {f"Instruction {n}" for n in range(200)}
    assert done.path.read_bytes() == whole
    assert not list(workspace.root.rglob("*.unfinished"))


def killed(root: Path, after: int) -> list[str]:
    """Run a slow translation and kill it -9 after so many requests; return what was sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if len(said) == after:
            os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return said


@pytest.mark.parametrize("change", ["prompt", "name", "limit"])
def test_what_the_rows_follow_from_makes_the_table_again(
    make_project: MakeProject, scripted: Any, change: str
) -> None:
    workspace = make_project(10)
    ask(stage(workspace, scripted()))
    provider = scripted(prompt="Translate politely." if change == "prompt" else "")
    if change == "name":
        provider.name = "scripted:other"
    if change == "limit":
        workspace = open_workspace(workspace.root, ("limit=5",))
    done = ask(stage(workspace, provider))
    assert len(done.filled) == 1
    # another prompt is another request; another name alone is not
    assert len(provider.sent) == (10 if change == "prompt" else 0)


def test_a_limit_asks_for_the_first_rows_only(make_project: MakeProject, scripted: Any) -> None:
    provider = scripted()
    done = ask(stage(make_project(10, limit=3), provider))
    assert (done.rows, done.answered) == (3, 3)
    assert sent(provider) == ["Instruction 0", "Instruction 1", "Instruction 2"]


def test_a_limit_of_one_stage_alone_is_kept(make_project: MakeProject, scripted: Any) -> None:
    workspace = make_project(10)
    collect(workspace)
    limited = open_workspace(workspace.root, ("limit=3",))
    provider = scripted()
    assert ask(translating(limited, VIETNAMESE, engage("translate", limited, provider))).rows == 3
    assert len(provider.sent) == 3


def test_english_passes_through_and_nobody_is_asked(
    make_project: MakeProject, scripted: Any
) -> None:
    provider = scripted()
    asking = stage(make_project(5), provider, "en")
    done = ask(asking)
    assert (done.rows, done.answered, done.missing, done.filled) == (5, 5, 0, ())
    assert list(table.read(done.path)) == list(table.read(asking.rows_from[0]))
    assert provider.sent == []
    assert not asking.ledger.exists()
    assert (need(asking).unique, need(asking).missing) == (0, 0)


def test_need_says_what_would_be_sent_and_sends_nothing(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(10)
    provider = scripted()
    told = need(stage(workspace, provider))
    assert (told.rows, told.unique, told.present, told.missing) == (10, 10, 0, 10)
    assert told.characters == 10 * len("Instruction 0") + 4 * len("input 0")
    assert provider.sent == []
    assert not workspace.stage("translated", "vi").exists()
    assert not workspace.ledger(VIETNAMESE).exists()
    ask(stage(workspace, provider))
    told = need(stage(make_project(12), provider))
    assert (told.rows, told.present, told.missing) == (12, 10, 2)


def test_the_stage_before_has_to_be_there(make_project: MakeProject, scripted: Any) -> None:
    workspace = make_project(3)
    asking = translating(workspace, VIETNAMESE, engage("translate", workspace, scripted()))
    for work in (ask, need):
        with pytest.raises(DataError, match=r"en\.parquet does not exist"):
            work(asking)


def test_two_at_once_are_refused(make_project: MakeProject, scripted: Any) -> None:
    asking = stage(make_project(3), scripted())
    mine = locked(asking.ledger.parent, asking.ledger.name)
    with mine, pytest.raises(RunError, match="in use by process"):
        ask(asking)
