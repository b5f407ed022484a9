"""``bactrian translate``: the English instructions into other languages."""

from __future__ import annotations

from bactrian.cli.asking import EngineOption, ShardOption, ask_all, foretell
from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, shown, verb


def translate(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    shard: ShardOption = "",
    engine: EngineOption = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Translate instructions and inputs; what the ledger has is not asked for again."""
    from bactrian.data.collect import collect
    from bactrian.data.providers import engage

    with verb(
        "translate",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        using = engage("translate", at.workspace, engine=engine)
        sources = collect(at.workspace)
        at.say(f"{sources.rows} English instructions  {shown(sources.path)}")
        done = (
            foretell(at, "translate", using) if dry_run else ask_all(at, "translate", using, shard)
        )
        at.result(sources=sources.rows, **done)
