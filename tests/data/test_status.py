"""Where a dataset stands: beside a run that is going, after kill -9, with failures and charges."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.data.ask import ask
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.respond import responding
from bactrian.data.status import LanguageStatus, status
from bactrian.data.translate import translating
from bactrian.ledger import Charge, Ledger
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
FAKES = Path(__file__).with_name("fake_providers.py")
VIETNAMESE = languages.get("vi")
RECIPE = {
    "languages": "vi",
    "translate": {"using": "fake", "concurrency": 2, "price": {"characters": 1e6}},
    "respond": {"using": "fake", "concurrency": 2, "price": {"input": 0.0, "output": 1e6}},
}


@pytest.fixture
def script(script: Any) -> Any:
    """The fake providers, whose answers are short."""
    script.mean_tokens = 10.0
    return script


def run(workspace: Workspace, stage: str) -> Any:
    made = translating if stage == "translate" else responding
    return ask(made(workspace, VIETNAMESE, engage(stage, workspace)))  # type: ignore[arg-type]


def of(workspace: Workspace) -> LanguageStatus:
    (found,) = status(workspace)
    return found


def test_before_anything_was_done(make_project: MakeProject) -> None:
    workspace = make_project(10, **RECIPE)
    for expected in (0, 10):
        found = of(workspace)
        assert (found.translated.rows, found.answered.rows) == (expected, expected)
        assert (found.translated.done, found.cost_usd, found.answered.finished) == (0, 0, False)
        collect(workspace)
    assert not (workspace.dataset / "ledger").exists(), "to look is not to write"


def test_stage_by_stage(make_project: MakeProject, script: Any) -> None:
    workspace = make_project(10, **RECIPE)
    collect(workspace)
    run(workspace, "translate")
    found = of(workspace)
    assert (found.translated.done, found.translated.rows, found.translated.finished) == (
        10,
        10,
        True,
    )
    characters = 10 * len("Instruction 0") + 4 * len("input 0")
    # the first way hides the border of the two texts behind a sign
    assert found.translated.cost_usd >= characters
    assert (found.answered.done, found.answered.rows, found.answered.finished) == (0, 10, False)
    run(workspace, "respond")
    found = of(workspace)
    assert (found.answered.done, found.answered.finished) == (10, True)
    assert found.answered.cost_usd == 10 * 10
    assert found.cost_usd == found.translated.cost_usd + found.answered.cost_usd
    assert found.answered.forecast_usd == found.answered.cost_usd


def test_failures_and_what_was_paid_for_nothing(make_project: MakeProject, script: Any) -> None:
    workspace = make_project(10, **RECIPE)
    collect(workspace)
    script.silent = ("Instruction 1", "Instruction 4")
    run(workspace, "translate")
    found = of(workspace)
    assert (found.translated.done, found.translated.rows) == (8, 10)
    assert (found.translated.failed, found.answered.failed) == (2, 0)
    script.silent = ("INSTRUCTION 2",)
    run(workspace, "respond")
    with Ledger(workspace.ledger(VIETNAMESE)) as ledger:
        ledger.charge(Charge("ab", "response", "fake:m", "language", "No.", cost_usd=5.0, time=1.0))
    found = of(workspace)
    assert found.answered.done == 7
    assert (found.answered.charged, found.translated.charged) == (1, 0)
    assert found.answered.cost_usd == 7 * 10 + 5
    script.silent = ()
    for stage in ("translate", "respond"):
        run(workspace, stage)
    found = of(workspace)
    assert (found.translated.failed, found.answered.failed) == (0, 0), "answered since"
    assert (found.translated.done, found.answered.done) == (10, 10)


def test_half_of_it_foretells_the_whole(make_project: MakeProject, script: Any) -> None:
    workspace = make_project(40, **RECIPE)
    collect(workspace)
    run(workspace, "translate")
    script.most = len(script.sent) + 20
    with pytest.raises(Exception, match="no credit"):
        run(workspace, "respond")
    found = of(workspace)
    assert 10 <= found.answered.done <= 24
    assert found.answered.cost_usd == 10 * found.answered.done
    assert found.answered.forecast_usd == pytest.approx(400)


def test_a_table_from_before_there_were_more_rows_is_not_taken_for_all(
    make_project: MakeProject, script: Any
) -> None:
    workspace = make_project(30, **RECIPE)
    small = open_workspace(workspace.root, ("limit=5",))
    collect(small)
    for stage in ("translate", "respond"):
        run(small, stage)
    assert of(small).answered.finished
    collect(workspace)
    found = of(workspace)
    assert (found.translated.done, found.translated.rows) == (5, 30)
    assert not found.translated.finished
    assert not found.answered.finished
    assert found.translated.forecast_usd == pytest.approx(6 * found.translated.cost_usd)


def killed_after(workspace: Workspace, sent: int, look: Callable[[], Any]) -> Any:
    """Run a slow build elsewhere; look at it when so many requests were sent, and kill it."""
    process = subprocess.Popen(
        [sys.executable, str(FAKES), "build", str(workspace.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "FAKE_SECONDS": "0.05"},
        text=True,
    )
    assert process.stdout is not None
    seen, found = 0, None
    for line in process.stdout:
        seen += line.startswith("sent")
        if seen == sent:
            found = look()
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return found


@pytest.mark.parametrize(("sent", "stage"), [(60, "translated"), (140, "answered")])
def test_beside_a_run_that_is_going_and_after_kill_nine(
    make_project: MakeProject, script: Any, sent: int, stage: str
) -> None:
    workspace = make_project(100, check={"names": ["empty"]}, build={"validation": 3}, **RECIPE)
    going: LanguageStatus = killed_after(workspace, sent, lambda: of(workspace))
    done = 100 if stage == "answered" else 0
    now = getattr(going, stage)
    assert now.rows == 100
    # eight in flight, and what the ledger gathers before it commits
    assert sent - done - 40 <= now.done <= sent - done
    assert now.done > 0
    assert not now.finished
    assert going.translated.finished == (stage == "answered")
    assert going.cost_usd > 0
    left = of(workspace)
    assert getattr(left, stage).done >= now.done, "what was committed is still there"
    assert left.cost_usd >= going.cost_usd
    for again in ("translate", "respond"):
        run(workspace, again)
    whole = of(workspace)
    assert (whole.translated.done, whole.answered.done) == (100, 100)
    assert whole.translated.finished
    assert whole.answered.finished
    with Ledger(workspace.ledger(VIETNAMESE), read_only=True) as ledger:
        assert len(ledger) == 200
