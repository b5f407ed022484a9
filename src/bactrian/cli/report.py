"""``bactrian report``: what was done and found, on one page."""

from __future__ import annotations

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


def report(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Write report.html and report.md from what lies in the folder; computes nothing anew.

    --limit shows that many sample answers a language.
    """
    need_extra("matplotlib", "the report", "report")
    from bactrian.evaluate.gather import gather
    from bactrian.evaluate.report import write

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
            at.result(scores=len(content.scores), differences=len(content.differences))
            return
        written = write(content, at.workspace.results)
        at.say(shown(written.html))
        at.say(shown(written.markdown))
        at.result(html=written.html, markdown=written.markdown)
