"""``bactrian check``: what is wrong with the rows, written beside them."""

from __future__ import annotations

from typing import Any

from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, shown, verb


def check(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Look at every row; rejected rows are kept with their reasons."""
    from bactrian import table
    from bactrian.data.check import check_rows, checks_of
    from bactrian.data.own import all_own, own_rows

    with verb(
        "check",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        workspace = at.workspace
        checks = checks_of(workspace.recipe.check)
        own = all_own(workspace)
        told: dict[str, Any] = {}
        for language in workspace.languages:
            if dry_run:
                stage = "sources" if own else "answered"
                found = table.info(workspace.stage(stage, language.code))
                rows = found.rows if found else 0
                told[language.code] = {"rows": rows}
                at.say(f"{language.code}  would run {len(checks)} checks on {rows} rows")
                continue
            done = (own_rows if own else check_rows)(workspace, language)
            told[language.code] = {
                "rows": done.rows,
                "kept": done.kept,
                "rejected": done.rejected,
                "reasons": done.reasons,
                "warned": done.warned,
            }
            why = ", ".join(f"{name} {count}" for name, count in sorted(done.reasons.items()))
            because = f" ({why})" if why else ""
            at.say(
                f"{language.code}  {done.kept} kept, {done.rejected} rejected{because}  "
                f"{shown(done.path)}"
            )
        at.result(languages=told)
