"""``bactrian report``: what was done and found, on one page, and beside the paper on another."""

from __future__ import annotations

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

Paper = Annotated[
    bool,
    typer.Option("--paper", help="Lay the run beside the tables of the Bactrian-X paper, too."),
]
Worst = Annotated[
    int, typer.Option("--items", min=0, help="Worst items a task and language; 0 shows none.")
]


def report(
    folder: Folder,
    paper: Paper = False,
    items: Worst = 20,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Write report.html, report.md, figures and tables from what lies in the folder.

    Computes no model's answer anew. --limit shows that many sample answers a language.
    """
    need_extra("matplotlib", "the report", "report")
    from bactrian.evaluate.gather import gather
    from bactrian.evaluate.report import write
    from bactrian.evaluate.report.drilldown import with_evidence

    with verb(
        "report",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        content = gather(at.workspace)
        if dry_run:
            at.say(f"would write {shown(at.workspace.results / 'report.html')}")
            if paper:
                at.say(f"would write {shown(at.workspace.results / 'paper.html')}")
            at.result(scores=len(content.scores), differences=len(content.differences))
            return
        if items:
            content = with_evidence(content, at.workspace, worst=items)
        written = write(content, at.workspace.results, paper=paper)
        pages = [page for page in (written.html, written.markdown, written.paper) if page]
        for page in pages:
            at.say(shown(page))
        at.say(f"{len(written.tables)} tables in {shown(at.workspace.results / 'tables')}")
        at.result(
            html=written.html,
            markdown=written.markdown,
            paper=written.paper,
            tables=written.tables,
            figures=written.figures,
        )
