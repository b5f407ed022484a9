"""plan, as a user types it: what it will cost, a pilot that is paid for, and no surprise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.providers import spending
from bactrian.workspace import open_workspace

Run = Callable[..., Any]
ASKING = ("translate", "respond", "build", "plan")


@pytest.fixture
def priced(tmp_path: Path) -> Path:
    """A workspace of 40 rows in Vietnamese and Khmer, whose fake providers have prices."""
    folder = tmp_path / "priced"
    folder.mkdir()
    rows = [{"instruction": f"Name {n + 2} camels.", "output": f"{n} camels"} for n in range(40)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "recipe.toml").write_text(
        """
        name = "toy"
        languages = "en,vi,km"
        [sources.rows]
        files = ["rows.json"]
        [translate]
        using = "fake"
        concurrency = 2
        price = { characters = 20 }
        [respond]
        using = "fake"
        concurrency = 2
        price = { input = 0.15, output = 0.6 }
        [check]
        names = ["empty"]
        [build]
        validation = 4
        """,
        encoding="utf-8",
    )
    return folder


def spent(folder: Path) -> float:
    return sum(total.cost_usd for total in spending(open_workspace(folder)))


def test_a_plan_sends_nothing_and_leaves_no_trace(run: Run, priced: Path, script: Any) -> None:
    done = run("plan", priced)
    assert done.code == 0
    assert "translate  (recipe)" in done.out
    characters = sum(len(f"Name {n + 2} camels.") for n in range(40))
    assert f"vi  would send 40 of 40 requests, {characters} characters, 0.01 USD" in done.out
    assert "en  would send 0 of 0 requests" in done.out
    assert "from the length of the English outputs" in done.out
    assert "0.00 spent" in done.out
    assert script.sent == []
    assert not (priced / "runs").exists()
    assert not (priced / "datasets/toy/ledger").exists()


def test_dry_runs_of_the_verbs_say_the_same(run: Run, priced: Path, script: Any) -> None:
    plan = json.loads(run("plan", priced, "--json").out)
    for stage in ("translate", "respond"):
        dry = json.loads(run(stage, priced, "--dry-run", "--json").out)
        assert dry["languages"] == plan[stage]
        assert dry["languages"]["vi"]["requests"] == 40
    build = json.loads(run("build", priced, "--dry-run", "--json").out)
    assert build["translate"]["languages"] == plan["translate"]
    assert build["respond"]["languages"] == plan["respond"]
    assert plan["spent_usd"] == 0
    low, middle, high = plan["usd"]
    assert 0 < low < middle < high
    assert script.sent == []


def test_a_pilot_costs_what_it_says_and_narrows_the_range(
    run: Run, priced: Path, script: Any
) -> None:
    script.sigma = 0.3
    before = json.loads(run("plan", priced, "--json").out)
    done = run("plan", priced, "--pilot", 8, "--json")
    after = json.loads(done.out)
    said = [line.split() for line in done.err.splitlines() if " answered, " in line]
    assert [(line[0], line[1], line[3]) for line in said] == [("vi", "8", "8"), ("km", "8", "8")]
    assert sum(float(line[-2]) for line in said) == pytest.approx(spent(priced), abs=1e-4)
    assert after["spent_usd"] == pytest.approx(spent(priced), abs=1e-6)
    assert len(script.clear()) == 2 * 16
    for code in ("vi", "km"):
        assert (after["translate"][code]["requests"], after["translate"][code]["present"]) == (
            32,
            8,
        )
        assert (after["respond"][code]["requests"], after["respond"][code]["present"]) == (32, 8)
        assert after["respond"][code]["basis"] == "from 8 answers"
        guessed, known = before["respond"][code]["tokens_out"], after["respond"][code]["tokens_out"]
        assert known["high"] / known["low"] < guessed["high"] / guessed["low"]
    paid = spent(priced)
    assert run("build", priced).code == 0
    assert len(script.sent) == 2 * 64, "the pilot's rows are not asked for again"
    low, _, high = after["usd"]
    assert low <= spent(priced) - paid <= high
    assert "0.00 USD to come (0.00 to 0.00)" in run("plan", priced).out


def test_a_pilot_is_not_sent_in_batches_and_pays_the_full_price(
    run: Run, priced: Path, script: Any
) -> None:
    recipe = priced / "recipe.toml"
    told = recipe.read_text(encoding="utf-8").replace("price = { input = 0.15, output = 0.6 }", "")
    recipe.write_text(f'{told}\n[budget]\nprices = "ours.toml"\n', encoding="utf-8")
    listed = '[fake]\nbatch = 0.5\n[fake.models]\n"*" = { input = 100.0, output = 100.0 }\n'
    (priced / "ours.toml").write_text(f'source = "us"\ndate = 2026-01-01\n{listed}')
    assert run("plan", priced, "--pilot", 8, "--set", "respond.batch=true").code == 0
    sums = [one for one in spending(open_workspace(priced)) if one.kind == "response"]
    assert len(sums) == 2
    for total in sums:
        assert total.cost_usd == pytest.approx((total.tokens_in + total.tokens_out) * 100e-6)


def test_a_pilot_too_small_to_tell_says_so(run: Run, priced: Path, script: Any) -> None:
    done = run("plan", priced, "--pilot", 3)
    assert "fewer than 8 answers a language do not say how long the others will be" in done.out
    assert "3 of 3 answered" in done.out
    assert "from the length of the English outputs" in done.out


def test_a_pair_that_nobody_translates_is_said_before_a_pilot_pays(
    run: Run, priced: Path, script: Any
) -> None:
    script.speaks = frozenset({"vi"})
    done = run("plan", priced, "--pilot", 8)
    assert done.code == 4
    assert done.err.splitlines()[0] == "error: fake does not translate into Khmer"
    assert script.sent == []


def test_a_pilot_keeps_to_the_budget_with_both_stages(run: Run, priced: Path, script: Any) -> None:
    script.mean_tokens = 500.0
    done = run("plan", priced, "--pilot", 40, "--set", "budget.usd=0.02")
    assert done.code == 10
    assert 0 < spent(priced) <= 0.02


@pytest.mark.parametrize("verb", ASKING)
def test_a_budget_without_a_price_is_refused(
    run: Run, priced: Path, script: Any, verb: str
) -> None:
    recipe = priced / "recipe.toml"
    told = recipe.read_text(encoding="utf-8")
    for price in ("price = { characters = 20 }", "price = { input = 0.15, output = 0.6 }"):
        told = told.replace(price, "")
    recipe.write_text(told, encoding="utf-8")
    words = (verb, priced, *(("--pilot", 8) if verb == "plan" else ()))
    unlimited = run("plan", priced)
    assert unlimited.out.count("cost unknown: no price") == 6
    assert "total  not to be said: a price is missing" in unlimited.out
    if verb == "respond":
        assert run("translate", priced).code == 0
        script.clear()
    done = run(*words, "--set", "budget.usd=1")
    assert done.code == 2
    lines = done.err.strip().splitlines()
    assert len(lines) == 2
    assert lines[0] == "error: a budget is set, and the price of the provider is not known"
    assert "[translate.price] characters = …" in lines[1]
    assert script.sent == []


@pytest.mark.parametrize("verb", ["build", "translate"])
def test_the_ceiling_ends_the_run_and_the_line_it_gives_goes_on(
    run: Run, priced: Path, script: Any, verb: str
) -> None:
    done = run(verb, priced, "--set", "budget.usd=0.01")
    assert done.code == 10
    lines = done.err.strip().splitlines()
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: the budget of 0.01 USD is reached: 0.0")
    assert "to go on, run the same command with a higher ceiling: --set budget.usd=" in lines[1]
    assert 0 < spent(priced) <= 0.01
    first = len(script.clear())
    assert first > 10
    again = lines[1].partition("--set ")[2]
    done = run(verb, priced, "--set", again)
    assert done.code == 0, done.err
    assert first + len(script.sent) == (160 if verb == "build" else 80), "paid for twice"
