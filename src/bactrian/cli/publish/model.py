"""``bactrian publish model``: a merged or fully trained model, or a folder of GGUF files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bactrian.cli.options import DryRun, Json, Languages, need_extra
from bactrian.cli.publish.offered import (
    BaseId,
    BaseLicence,
    Branch,
    DataLicence,
    DatasetId,
    Example,
    Licence,
    Overwrite,
    Private,
    Project,
    Push,
    Replace,
    Repo,
    Results,
    Shipment,
    To,
    asked_of,
    offer,
    parcel,
    repository,
)


def model(
    folder: Annotated[Path, typer.Argument(help="Folder of the model.", show_default=False)],
    project: Project = None,
    results: Results = None,
    repo: Repo = "",
    to: To = None,
    push: Push = False,
    private: Private = False,
    branch: Branch = "main",
    replace_there: Replace = False,
    overwrite: Overwrite = False,
    base_id: BaseId = "",
    base_licence: BaseLicence = "",
    data_licence: DataLicence = "",
    dataset_id: DatasetId = "",
    licence: Licence = "",
    languages: Languages = "",
    example: Example = True,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Lay a folder with an honest card, to look at first; --push sends it in one commit."""
    need_extra("huggingface_hub", "publish", "train")
    from bactrian.publish.card import known
    from bactrian.publish.folder import MODEL

    name = folder.resolve().name
    asked = asked_of(
        project,
        results,
        repo=repository(repo, push, name, dry_run=dry_run),
        base_id=base_id,
        base_licence=base_licence,
        data_licence=data_licence,
        dataset_id=dataset_id,
        licence=licence,
        languages=languages,
        example=example,
    )
    if asked.repo:
        name = asked.repo.rpartition("/")[2]
    whose = (folder.parent, *((project,) if project else ()))
    one = parcel(known.model(folder, asked), folder, MODEL)
    offer(
        Shipment(to or Path("published") / name, (one,), {}, {"": asked.repo}, whose),
        push=push,
        overwrite=overwrite,
        dry_run=dry_run,
        as_json=as_json,
        where={"branch": branch, "private": private, "replace": replace_there},
    )
