"""Responses: the translated task is answered in its language; English keeps its own answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bactrian import languages, table
from bactrian.data.ask import ask, need
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.errors import ConfigError, DataError
from bactrian.ledger import Ledger, key_of
from bactrian.workspace import Workspace

MakeProject = Callable[..., Workspace]
VIETNAMESE, ENGLISH = languages.get("vi"), languages.get("en")


@pytest.fixture
def translated(make_project: MakeProject, scripted: Any) -> Workspace:
    """Ten rows in Vietnamese, of which the third has no translation."""
    workspace = make_project(10)
    collect(workspace)
    provider = scripted()
    provider.silent = {"Instruction 3"}
    for language in (VIETNAMESE, ENGLISH):
        ask(translating(workspace, language, engage("translate", workspace, provider)))
    return workspace


def asked(provider: Any) -> list[str]:
    return [request["messages"][0]["content"] for request in provider.sent]


def test_a_response_is_put_beside_its_task(translated: Workspace, scripted: Any) -> None:
    provider = scripted("response")
    done = ask(responding(translated, VIETNAMESE, engage("respond", translated, provider)))
    assert done.path == translated.stage("answered", "vi")
    assert (done.rows, done.answered, done.missing) == (10, 9, 1)
    before = [row.example for row in table.read(translated.stage("translated", "vi"))]
    after = [row.example for row in table.read(done.path)]
    assert [row.task for row in after] == [row.task for row in before]
    assert after[1].output == "vi: [vi] Instruction 1"
    assert after[0].output == "vi: [vi] Instruction 0\n[vi] input 0"
    told = after[1].provenance
    assert told.responder == "scripted:m"
    assert told.response_key == key_of(provider.request(before[1].task, VIETNAMESE))
    assert told.translation_key == before[1].provenance.translation_key
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", told.date)


def test_a_row_without_translation_is_not_asked_for_and_keeps_its_reason(
    translated: Workspace, scripted: Any
) -> None:
    provider = scripted("response")
    done = ask(responding(translated, VIETNAMESE, engage("respond", translated, provider)))
    assert len(provider.sent) == 9
    assert not any("Instruction 3" in text for text in asked(provider))
    row = [row.example for row in table.read(done.path)][3]
    assert row.missing == "no translation: refused by the script"
    assert (row.instruction, row.output) == ("", "")
    assert (
        need(responding(translated, VIETNAMESE, engage("respond", translated, provider))).missing
        == 0
    )


def test_a_task_without_an_answer_keeps_its_text_and_says_why(
    translated: Workspace, scripted: Any
) -> None:
    provider = scripted("response")
    provider.silent = {"[vi] Instruction 4"}
    done = ask(responding(translated, VIETNAMESE, engage("respond", translated, provider)))
    assert (done.rows, done.answered, done.missing) == (10, 8, 2)
    row = [row.example for row in table.read(done.path)][4]
    assert row.missing == "no response: refused by the script"
    assert (row.instruction, row.output) == ("[vi] Instruction 4", "")
    assert (row.provenance.responder, row.provenance.response_key) == ("scripted:m", "")
    again = scripted("response")
    assert (
        ask(responding(translated, VIETNAMESE, engage("respond", translated, again))).missing == 1
    )
    assert asked(again) == ["[vi] Instruction 4"]


def test_english_keeps_the_answers_of_the_source(translated: Workspace, scripted: Any) -> None:
    provider = scripted("response")
    done = ask(responding(translated, ENGLISH, engage("respond", translated, provider)))
    assert provider.sent == []
    assert (done.rows, done.missing) == (10, 0)
    rows = [row.example for row in table.read(done.path)]
    assert [row.output for row in rows] == [f"The answer {number}" for number in range(10)]
    assert {row.provenance.responder for row in rows} == {""}


def test_the_ledger_holds_both_stages(translated: Workspace, scripted: Any) -> None:
    ask(responding(translated, VIETNAMESE, engage("respond", translated, scripted("response"))))
    with Ledger(translated.ledger(VIETNAMESE), read_only=True) as ledger:
        kinds = [entry.kind for entry in ledger.entries()]
    assert (kinds.count("translation"), kinds.count("response")) == (9, 9)


def test_translations_come_first(make_project: MakeProject, scripted: Any) -> None:
    workspace = make_project(3)
    with pytest.raises(DataError, match=r"translated/vi\.parquet does not exist"):
        ask(responding(workspace, VIETNAMESE, engage("respond", workspace, scripted("response"))))


def test_a_chat_model_that_is_not_there_is_said(make_project: MakeProject) -> None:
    with pytest.raises(ConfigError, match="unknown chat gpt"):
        engage("respond", make_project(1, respond={"using": "gpt"}))
