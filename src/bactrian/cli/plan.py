"""``bactrian plan``: what the data will cost, before it is paid for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from bactrian.cli.asking import stages_of
from bactrian.cli.options import Folder, Json, Languages, Limit, Set, Verb, verb

Pilot = Annotated[
    int,
    typer.Option(
        "--pilot",
        min=0,
        help="First ask for so many rows a language, for real; they stay in the ledger.",
    ),
]


def plan(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    pilot: Pilot = 0,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Say what translation and responses will cost, language by language, as a range."""
    with verb(
        "plan",
        folder,
        languages=languages,
        limit=limit,
        dry_run=not pilot,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        from bactrian.data.collect import collect

        collect(at.workspace)
        if pilot:
            _pilot(at, pilot)
        at.result(**_plan(at))


def _pilot(at: Verb, rows: int) -> None:
    from bactrian.data.pilot import chosen, pilot
    from bactrian.data.plan import ENOUGH
    from bactrian.data.providers import engage

    translator = engage("translate", at.workspace)
    model = engage("respond", _at_once(at.workspace)).sharing(translator)
    stages_of(at, "translate", translator)
    if rows < ENOUGH:
        at.say(f"fewer than {ENOUGH} answers a language do not say how long the others will be")
    drawn = chosen(at.workspace, rows)
    for language in at.workspace.languages:
        if language.code == "en":
            continue
        done = pilot(at.workspace, language, drawn, translator, model)
        at.say(f"{language.code}  {done.answered} of {done.rows} answered, {done.cost_usd:.4f} USD")


def _at_once(workspace: Any) -> Any:
    """Return the workspace without batches: a pilot does not wait, and pays the full price."""
    from dataclasses import replace

    told = workspace.recipe
    respond = told.respond.model_copy(update={"batch": False})
    return replace(workspace, recipe=told.model_copy(update={"respond": respond}))


def _plan(at: Verb) -> dict[str, Any]:
    from bactrian.data.plan import plan_stage, total
    from bactrian.data.providers import engage, spending

    plans = []
    told: dict[str, Any] = {}
    stages: tuple[Literal["translate", "respond"], ...] = ("translate", "respond")
    for stage in stages:
        using = engage(stage, at.workspace)
        found = [
            plan_stage(at.workspace, language, stage, using) for language in at.workspace.languages
        ]
        at.say(f"{stage}  ({found[0].price or 'no price is known'})")
        for one in found:
            at.say(f"  {one.line()}")
        told[stage] = {one.language: one.facts() for one in found}
        plans += found
    spent = sum(sums.cost_usd for sums in spending(at.workspace))
    cost = total(plans)
    if cost is None:
        at.say(
            "total  not to be said: a price is missing; name it under [translate.price] or "
            "[respond.price]"
        )
    else:
        at.say(
            f"total  {cost.middle:,.2f} USD to come ({cost.low:,.2f} to {cost.high:,.2f}), "
            f"{spent:,.2f} spent"
        )
    told["usd"] = None if cost is None else [cost.low, cost.middle, cost.high]
    told["spent_usd"] = round(spent, 6)
    return told
