"""``bactrian translate``: the English instructions into other languages."""

from __future__ import annotations

from typing import Any

from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, shown, verb


def translate(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Translate instructions and inputs; what the ledger has is not asked for again."""
    from bactrian.data.ask import ask, need
    from bactrian.data.collect import collect
    from bactrian.data.translate import translating, translator

    with verb(
        "translate",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        workspace = at.workspace
        using = translator(workspace)
        sources = collect(workspace)
        at.say(f"{sources.rows} English instructions  {shown(sources.path)}")
        told: dict[str, Any] = {}
        for language in workspace.languages:
            stage = translating(workspace, language, using)
            if dry_run:
                wanted = need(stage)
                told[language.code] = {"send": wanted.missing, "characters": wanted.characters}
                at.say(
                    f"{language.code}  would send {wanted.missing} of {wanted.rows} instructions, "
                    f"{wanted.characters} characters; {wanted.present} are in the ledger"
                )
                continue
            done = ask(stage)
            told[language.code] = {"rows": done.rows, "missing": done.missing}
            lacking = f", {done.missing} missing" if done.missing else ""
            at.say(f"{language.code}  {done.answered} translated{lacking}  {shown(done.path)}")
        at.result(sources=sources.rows, using=using.name, languages=told)
