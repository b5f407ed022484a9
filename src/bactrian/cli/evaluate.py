"""``bactrian eval``: the base and its adapters on the recipe's tasks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

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


def evaluate(
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
    """Score the base and the adapters; every number with n and a 95 % interval."""
    need_extra("torch", "evaluation", "train")
    from bactrian.evaluate.run import evaluate as evaluate_models
    from bactrian.evaluate.run import forecast

    told = [*(overrides or []), *(["eval.languages={}"] if languages else [])]
    with verb(
        "eval",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=told,
    ) as at:
        workspace = at.workspace
        if dry_run:
            asked = forecast(workspace)
            for one in asked:
                at.say(
                    f"{one.task} {one.language}  {one.items} items, {one.options} texts to score"
                )
            at.result(tasks=[asdict(one) for one in asked])
            return
        done = evaluate_models(workspace, list(adapters or workspace.adapters()))
        for score in done.results.scores:
            at.say(
                f"{score.task} {score.language}  {score.model:8} {score.metric} "
                f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}] n {score.n}"
            )
        at.say(shown(done.path))
        at.result(
            path=done.path,
            scores=[asdict(score) for score in done.results.scores],
            differences=[asdict(difference) for difference in done.results.differences],
        )
