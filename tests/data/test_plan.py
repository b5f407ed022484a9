"""What a stage will send and cost, held against what it then sent and cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian import languages
from bactrian.data.ask import ask
from bactrian.data.collect import collect
from bactrian.data.pilot import chosen, pilot
from bactrian.data.plan import ENOUGH, Answered, Plan, plan_stage, total
from bactrian.data.providers import engage, spending
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.errors import ConfigError
from bactrian.providers import characters_of
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
DEMO = Path(__file__).parents[2] / "demo" / "alpaca.json"
VIETNAMESE, KHMER, ENGLISH = (languages.get(code) for code in ("vi", "km", "en"))
PRICES = {"price": {"characters": 20.0}}, {"price": {"input": 0.15, "output": 0.6}}


@pytest.fixture
def project(make_project: MakeProject) -> MakeProject:
    """Return a maker of collected workspaces whose providers are the fake ones, with prices."""

    def make(rows: int = 0, *overrides: str, **recipe: Any) -> Workspace:
        translate = {"using": "fake", **PRICES[0], **recipe.pop("translate", {})}
        respond = {"using": "fake", **PRICES[1], **recipe.pop("respond", {})}
        if not rows:
            recipe = {"sources": {"alpaca": {"files": [str(DEMO)]}}, **recipe}
        made = make_project(rows, translate=translate, respond=respond, **recipe)
        workspace = open_workspace(made.root, overrides)
        collect(workspace)
        return workspace

    return make


def plan(workspace: Workspace, stage: Any, language: Any = VIETNAMESE) -> Plan:
    return plan_stage(workspace, language, stage, engage(stage, workspace))


def run(workspace: Workspace, stage: str, language: Any = VIETNAMESE) -> Any:
    made = translating if stage == "translate" else responding
    return ask(made(workspace, language, engage(stage, workspace)))  # type: ignore[arg-type]


def spent(workspace: Workspace, kind: str) -> float:
    return sum(sums.cost_usd for sums in spending(workspace) if sums.kind == kind)


# -- translation: counted --------------------------------------------------------------------------


def test_characters_are_those_that_are_then_billed_in_52_languages(
    project: MakeProject, script: Any
) -> None:
    workspace = project(0, "limit=24")
    costs = 0.0
    for language in languages.parse("all"):
        told = plan(workspace, "translate", language)
        assert script.sent == []
        done = run(workspace, "translate", language)
        sent = script.clear()
        if language.code == "en":
            assert (told.requests, told.characters.middle, done.missing) == (0, 0, 0)
            continue
        assert told.requests == len(sent) > 15, "programming stays in English"
        assert told.characters.low == told.characters.high == sum(map(characters_of, sent))
        assert told.usd is not None
        assert told.usd.middle == pytest.approx(20e-6 * told.characters.middle)
        costs += told.usd.middle
    assert spent(workspace, "translation") == pytest.approx(costs)


def test_astral_letters_are_one_character_each(project: MakeProject, script: Any) -> None:
    workspace = project(1)
    text = "Smile 😀 at 𝒜 camel"
    row = {"id": "alpaca-0", "instruction": text, "output": "x"}
    (workspace.root / "alpaca.json").write_bytes(orjson.dumps([row]))
    collect(workspace)
    assert plan(workspace, "translate").characters.middle == len(text) == 18


def test_what_is_paid_for_is_taken_off(project: MakeProject, script: Any) -> None:
    run(project(20), "translate")
    workspace = project(30)
    told = plan(workspace, "translate")
    assert (told.rows, told.present, told.requests) == (30, 20, 10)
    script.clear()
    run(workspace, "translate")
    assert told.characters.middle == sum(map(characters_of, script.sent))
    done = plan(workspace, "translate")
    assert (done.requests, done.present) == (0, 30)
    assert done.usd is not None
    assert done.usd.high == 0


def test_to_plan_sends_nothing_and_writes_no_ledger(project: MakeProject, script: Any) -> None:
    workspace = project(10)
    for stage in ("translate", "respond"):
        for language in (VIETNAMESE, ENGLISH):
            plan(workspace, stage, language)
    assert script.sent == []
    assert not (workspace.dataset / "ledger").exists()


def test_a_chat_model_that_translates_is_planned_in_tokens(project: MakeProject) -> None:
    told = {"using": "chat", "model": "gpt-4o-mini", "price": {"input": 0.15, "output": 0.6}}
    workspace = project(0, translate=told)
    for language in (VIETNAMESE, KHMER):
        found = plan(workspace, "translate", language)
        assert found.usd is not None
        # the prompt takes some 150 tokens, the texts a few dozen
        assert 150 < found.tokens_in.middle / found.requests < 400
        assert found.tokens_out.low < found.tokens_out.middle < found.tokens_out.high
        usd = (0.15 * found.tokens_in.middle + 0.6 * found.tokens_out.middle) / 1e6
        assert found.usd.middle == pytest.approx(usd)
        assert found.usd.low < found.usd.middle < found.usd.high


# -- prices ----------------------------------------------------------------------------------------


def test_a_price_that_nobody_has_said_is_unknown_and_refused_by_a_budget(
    project: MakeProject, script: Any
) -> None:
    unknown: dict[str, Any] = {"price": {}}
    workspace = project(5, translate=unknown, respond=unknown)
    plans = [plan(workspace, stage) for stage in ("translate", "respond")]
    assert [one.usd for one in plans] == [None, None]
    assert all("cost unknown: no price" in one.line() for one in plans)
    assert total(plans) is None
    limited = open_workspace(workspace.root, ("budget.usd=5",))
    for stage in ("translate", "respond"):
        with pytest.raises(ConfigError, match=r"a budget is set, and the price .* is not known"):
            run(limited, stage)
    assert script.sent == []


def test_a_free_provider_costs_nothing_and_says_so(project: MakeProject, script: Any) -> None:
    workspace = project(5, translate={"price": {"characters": 0.0}})
    told = plan(workspace, "translate")
    assert told.usd is not None
    assert told.usd.high == 0
    assert "0.00 USD" in told.line()


# -- responses: before anything, after translation, after a pilot ----------------------------------


def test_before_translation_the_rows_are_counted_and_the_length_is_guessed(
    project: MakeProject, script: Any
) -> None:
    workspace = project(0, "limit=60")
    for language in languages.parse("all"):
        told = plan(workspace, "respond", language)
        if language.code == "en":
            assert (told.requests, told.tokens_out.high) == (0, 0)
            continue
        assert told.basis == "from the length of the English outputs"
        assert told.usd is not None
        assert 0 < told.usd.low < told.usd.middle < told.usd.high
        assert told.characters.low < told.characters.middle < told.characters.high
    before = plan(workspace, "respond")
    run(workspace, "translate")
    script.clear()
    after = plan(workspace, "respond")
    assert after.requests == before.requests
    run(workspace, "respond")
    assert len(script.sent) == before.requests
    assert after.characters.middle == sum(map(characters_of, script.sent))


def test_a_system_prompt_counts_before_the_translation_too(project: MakeProject) -> None:
    bare = {"using": "openai", "model": "gpt-4o-mini"}
    short = plan(project(10, respond=bare), "respond").characters.middle
    told = plan(project(10, respond={**bare, "system": "Answer in {language}. " * 10}), "respond")
    assert told.characters.middle - short == 10 * len("Answer in Vietnamese. " * 10)


def test_no_answer_is_longer_than_it_may_be(project: MakeProject) -> None:
    model = {"using": "openai", "model": "gpt-4o-mini", "max_tokens": 40}
    told = plan(project(0, respond=model), "respond", KHMER)
    assert told.tokens_out.high == 40 * told.requests
    assert told.tokens_out.low <= told.tokens_out.middle <= told.tokens_out.high


def test_a_table_from_before_there_were_more_rows_is_not_taken_for_all(
    project: MakeProject, script: Any
) -> None:
    small = project(30, "limit=5")
    for stage in ("translate", "respond"):
        run(small, stage)
    told = plan(project(30), "respond")
    assert (told.requests, told.present) == (25, 5)


def test_answers_that_were_paid_for_nothing_count(project: MakeProject) -> None:
    bare = Answered(20, 2000, [100] * 20).next(1000)
    charged = Answered(20, 2400, [100] * 20).next(1000)
    assert bare.middle == 100
    assert charged.middle == 120


@pytest.mark.parametrize("answers", [ENOUGH, 20, 40])
@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
def test_the_range_holds_the_true_mean(answers: int, sigma: float) -> None:
    held = 0
    for seed in range(300):
        chance = random.Random(seed)
        lengths = [round(chance.lognormvariate(5, sigma)) for _ in range(400)]
        sample, rest = lengths[:answers], lengths[answers:]
        found = Answered(answers, sum(sample), sample).next(len(rest))
        held += found.low * len(rest) <= sum(rest) <= found.high * len(rest)
    assert 0.84 <= held / 300 <= 0.99


def test_the_range_from_a_pilot_holds_what_the_run_then_cost(
    project: MakeProject, script: Any
) -> None:
    script.sigma = 0.8
    held = 0
    for seed in range(12):
        told = {"model": f"m{seed}"}  # other requests, and so other lengths
        workspace = project(240, f"seed={seed}", folder=f"seed-{seed}", respond=told)
        using = engage("translate", workspace), engage("respond", workspace)
        pilot(workspace, VIETNAMESE, chosen(workspace, 32), *using)
        found = plan(workspace, "respond")
        assert found.basis == "from 32 answers"
        assert (found.requests, found.present) == (208, 32)
        before = spent(workspace, "response")
        for stage in ("translate", "respond"):
            run(workspace, stage)
        cost = spent(workspace, "response") - before
        assert found.usd is not None
        assert found.usd.high / found.usd.low < 4, "what says nothing holds everything"
        held += found.usd.low <= cost <= found.usd.high
    assert held >= 10
