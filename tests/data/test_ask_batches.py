"""A stage through a batch API: every language at once, the same tables, nothing paid twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bactrian import languages, table
from bactrian.data.ask import ask
from bactrian.data.ask_batches import ask_in_batches
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.errors import ConfigError, LedgerError
from bactrian.ledger.batches import unfinished
from bactrian.providers.batches import Options
from bactrian.workspace import Workspace

MakeProject = Callable[..., Workspace]
MOCK = Path(__file__).parents[3] / "shared/bench/mock_openai.py"
TARGETS = [languages.get(code) for code in ("vi", "km", "en")]
OPTIONS = Options(interval=0.2, settle=0.2)

pytestmark = pytest.mark.skipif(not MOCK.is_file(), reason="needs ../shared/bench: the fake API")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The fake provider, its batches done after a fifth of a second."""
    command = [sys.executable, str(MOCK), "--port", "0", "--batch-delay", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    yield line.split('"')[3].removesuffix("/v1")
    process.terminate()
    process.communicate()


@pytest.fixture
def translated(
    address: str, make_project: MakeProject, scripted: Callable[..., object]
) -> Workspace:
    told = {
        "using": "openai",
        "model": "gpt-4o-mini",
        "endpoints": [f"{address}/v1"],
        "batch": True,
        "retries": {"language": 0, "refusal": 0},
    }
    workspace = make_project(30, respond=told)
    collect(workspace)
    for language in TARGETS:
        ask(translating(workspace, language, engage("translate", workspace, scripted())))
    return workspace


def test_every_language_is_answered_and_a_second_call_sends_nothing(
    translated: Workspace,
) -> None:
    using = engage("respond", translated)
    stages = [responding(translated, language, using) for language in TARGETS]
    done = {stage.language.code: made for stage, made in ask_in_batches(stages, OPTIONS)}
    assert {code: (made.rows, made.missing) for code, made in done.items()} == {
        "vi": (30, 0),
        "km": (30, 0),
        "en": (30, 0),
    }
    for code in ("vi", "km"):
        rows = [row.example for row in table.read(translated.stage("answered", code))]
        assert all(row.output for row in rows)
        assert {row.provenance.responder for row in rows} == {"openai:gpt-4o-mini"}
    half = using.price.source
    assert "batch" in half
    spent = using.budget.spent
    assert spent > 0
    assert [made.filled for _, made in ask_in_batches(stages, OPTIONS)] == [(), (), ()]
    assert using.budget.spent == spent


def test_what_is_out_in_batches_is_not_asked_for_in_another_way(translated: Workspace) -> None:
    using = engage("respond", translated)
    stage = responding(translated, TARGETS[0], using)
    going = ask_in_batches([stage, responding(translated, TARGETS[1], using)], OPTIONS)
    next(going)
    going.close()  # the other language's batch is still out, or was never sent
    out = [language for language in TARGETS[:2] if unfinished(translated.ledger(language))]
    for language in out:
        with pytest.raises(LedgerError, match=r"batches of \w+ are out"):
            ask(responding(translated, language, using))
    both = [stage, responding(translated, TARGETS[1], using)]
    assert [made.missing for _, made in ask_in_batches(both, OPTIONS)] == [0, 0]


def test_a_provider_without_batches_is_said(
    translated: Workspace, scripted: Callable[..., object]
) -> None:
    using = engage("respond", translated, scripted("response"))
    stages = [responding(translated, TARGETS[0], using)]
    with pytest.raises(ConfigError, match="no batch API"):
        list(ask_in_batches(stages, OPTIONS))
