"""``bactrian respond``: an answer to each translated instruction, in its language."""

from __future__ import annotations

from bactrian.cli.asking import EngineOption, ShardOption, ask_all, foretell
from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, verb


def respond(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    shard: ShardOption = "",
    engine: EngineOption = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Ask a chat model for the responses; English keeps the source's own."""
    from bactrian.data.providers import engage

    with verb(
        "respond",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        using = engage("respond", at.workspace, engine=engine)
        done = foretell(at, "respond", using) if dry_run else ask_all(at, "respond", using, shard)
        at.result(**done)
