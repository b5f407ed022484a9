"""``bactrian build``: the dataset folder, from whatever of the road is not gone yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bactrian.cli.asking import ask_one, asked, foretell, release, stages_of
from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, Verb, shown, verb


def build(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Collect, translate, respond and check what is not done, then split by id and write.

    Rows that are in their language already, with no English ones beside them, are only checked.
    """
    with verb(
        "build",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        if dry_run:
            at.result(**_foretell(at))
            return
        asked = _rows(at) if at.workspace.recipe.sources else {}
        at.result(**_split(at), asked=asked)


def _foretell(at: Verb) -> dict[str, Any]:
    from bactrian.data.collect import collect
    from bactrian.data.providers import engage

    if not at.workspace.recipe.sources or not collect(at.workspace).rows:
        return {}
    translator, model = engage("translate", at.workspace), engage("respond", at.workspace)
    return {
        "translate": foretell(at, "translate", translator),
        "respond": foretell(at, "respond", model),
    }


def _rows(at: Verb) -> dict[str, Any]:
    """Bring every language to checked rows, one language after the other."""
    from bactrian.data.check import check_rows
    from bactrian.data.collect import collect
    from bactrian.data.own import own_rows
    from bactrian.data.providers import engage

    if not collect(at.workspace).rows:
        for language in at.workspace.languages:
            own_rows(at.workspace, language)
        return {}
    translator, model = engage("translate", at.workspace), engage("respond", at.workspace)
    model = model.sharing(translator)
    translations = stages_of(at, "translate", translator)
    responses = stages_of(at, "respond", model)
    told: dict[str, Any] = {}
    # batches want all languages at once; weights that are here want the whole memory
    apart = getattr(model.section, "batch", False) or hasattr(translator.provider, "release")
    try:
        for language in at.workspace.languages:
            code = language.code
            told[code] = {"translate": ask_one(at, translations[code])}
            if not apart:
                told[code]["respond"] = ask_one(at, responses[code])
                check_rows(at.workspace, language)
        release(translator)
        if apart:
            for code, done in asked(at, responses, model):
                told[code]["respond"] = done
            for language in at.workspace.languages:
                check_rows(at.workspace, language)
    finally:
        release(translator)
        release(model)
    return told


def _split(at: Verb) -> dict[str, Any]:
    from bactrian.data.build import build as build_dataset

    built = build_dataset(at.workspace, at.workspace.languages)
    for count in built.counts:
        at.say(
            f"{count.language}  {count.train} train, {count.validation} validation, "
            f"{count.rejected} rejected"
        )
    at.say(shown(built.path))
    return {"path": built.path, "languages": [asdict(count) for count in built.counts]}
