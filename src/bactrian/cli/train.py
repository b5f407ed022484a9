"""``bactrian train``: LoRA adapters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bactrian.cli.options import (
    DryRun,
    Folder,
    Json,
    Languages,
    Limit,
    Set,
    need_extra,
    shown,
    verb,
)


def train(
    folder: Folder,
    adapters: Annotated[
        list[str] | None, typer.Argument(help="Adapters of the recipe; all when none is named.")
    ] = None,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Train adapters; killed and started again, it goes on from the last checkpoint."""
    need_extra("torch", "training", "train")
    from bactrian.cli.terminal import duration
    from bactrian.languages import parse
    from bactrian.train.run import forecast
    from bactrian.train.run import train as train_one

    told = list(overrides or [])
    if languages:
        name = "-".join(language.code for language in parse(languages))
        told.append(f'train.adapters={{"{name}" = "{languages}"}}')
    with verb("train", folder, limit=limit, dry_run=dry_run, as_json=as_json, overrides=told) as at:
        workspace = at.workspace
        results: dict[str, Any] = {}
        for name in adapters or workspace.adapters():
            if dry_run:
                plan = forecast(workspace, name)
                results[name] = asdict(plan)
                at.say(
                    f"{name}  would train on {plan.rows} rows in {', '.join(plan.languages)}: "
                    f"{plan.steps} steps, {plan.tokens} tokens, {plan.padding:.0%} padding"
                )
                continue
            done = train_one(workspace, name)
            results[name] = {"folder": str(done.folder), **asdict(done.facts)}
            losses = "  ".join(f"{code} {loss:.3f}" for code, loss in done.facts.losses.items())
            took = duration(done.facts.seconds) if done.fresh else "done before"
            at.say(f"{name}  loss {losses}  {took}  {shown(done.folder)}")
        at.result(adapters=results)
