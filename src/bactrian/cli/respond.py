"""``bactrian respond``: an answer to each translated instruction, in its language."""

from __future__ import annotations

from typing import Any

from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, shown, verb


def respond(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Ask a chat model for the responses; English keeps the source's own."""
    from bactrian.data.ask import ask, need
    from bactrian.data.respond import responder, responding

    with verb(
        "respond",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        workspace = at.workspace
        using = responder(workspace)
        told: dict[str, Any] = {}
        for language in workspace.languages:
            stage = responding(workspace, language, using)
            if dry_run:
                wanted = need(stage)
                told[language.code] = {"send": wanted.missing, "characters": wanted.characters}
                at.say(
                    f"{language.code}  would send {wanted.missing} of {wanted.rows} requests, "
                    f"{wanted.characters} characters; {wanted.present} are in the ledger"
                )
                continue
            done = ask(stage)
            told[language.code] = {"rows": done.rows, "missing": done.missing}
            lacking = f", {done.missing} missing" if done.missing else ""
            at.say(f"{language.code}  {done.answered} answered{lacking}  {shown(done.path)}")
        at.result(using=using.name, languages=told)
