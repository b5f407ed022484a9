"""``bactrian build``: the dataset folder."""

from __future__ import annotations

from dataclasses import asdict

from bactrian.cli.options import DryRun, Folder, Json, Languages, Limit, Set, shown, verb


def build(
    folder: Folder,
    languages: Languages = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Split the checked rows by id and write the folder that load_dataset and the Hub read."""
    from bactrian.data.build import build as build_dataset
    from bactrian.data.build import validation_ids

    with verb(
        "build",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=overrides,
    ) as at:
        workspace = at.workspace
        if dry_run:
            ids = validation_ids(workspace, workspace.languages)
            at.say(f"would hold out {len(ids)} ids in {shown(workspace.dataset)}")
            at.result(validation=len(ids))
            return
        built = build_dataset(workspace, workspace.languages)
        for count in built.counts:
            at.say(
                f"{count.language}  {count.train} train, {count.validation} validation, "
                f"{count.rejected} rejected"
            )
        at.say(shown(built.path))
        at.result(path=built.path, languages=[asdict(count) for count in built.counts])
