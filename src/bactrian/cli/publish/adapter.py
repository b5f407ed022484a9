"""``bactrian publish adapter``: one adapter, or many in one repository or each in its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bactrian.cli.options import DryRun, Json, Languages, Prompt, need_extra
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

if TYPE_CHECKING:
    from bactrian.publish.card.known import Asked


def adapter(
    folders: Annotated[list[Path], typer.Argument(help="Adapter folders.", show_default=False)],
    project: Project = None,
    results: Results = None,
    repo: Repo = "",
    to: To = None,
    each: Annotated[
        bool,
        typer.Option(
            "--each/--one-repository", help="A repository each with an index, or sub-folders."
        ),
    ] = False,
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
    prompt: Prompt = "",
    example: Example = True,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Lay a folder with an honest card, to look at first; --push sends it in one commit."""
    need_extra("peft", "publish", "train")
    _named_apart(folders)
    name = folders[0].resolve().name if len(folders) == 1 else "adapters"
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
        prompt=prompt,
    )
    if asked.repo:
        name = asked.repo.rpartition("/")[2]
    place = to or Path("published") / name
    whose = (*(folder.parent for folder in folders), *((project,) if project else ()))
    shipment = _shipment(folders, asked, place, each=each and len(folders) > 1, whose=whose)
    offer(
        shipment,
        push=push,
        overwrite=overwrite,
        dry_run=dry_run,
        as_json=as_json,
        where={"branch": branch, "private": private, "replace": replace_there},
    )


def _shipment(
    folders: list[Path], asked: Asked, place: Path, *, each: bool, whose: tuple[Path, ...]
) -> Shipment:
    from bactrian.publish.card import known
    from bactrian.publish.folder import ADAPTER
    from bactrian.publish.index_page import index_page

    if len(folders) == 1:
        one = parcel(known.adapter(folders[0], asked), folders[0], ADAPTER)
        return Shipment(place, (one,), {}, {"": asked.repo}, whose)
    parcels, targets = [], {}
    for folder in folders:
        name = folder.resolve().name
        repo = f"{asked.repo}-{name}" if each and asked.repo else asked.repo
        mine = replace(asked, repo=repo, subfolder="" if each else name)
        parcels.append(parcel(known.adapter(folder, mine), folder, ADAPTER, name))
        if each:
            targets[name] = repo
    targets[""] = asked.repo
    subjects = [one.subject for one in parcels]
    title = asked.repo.rpartition("/")[2] or place.name
    page = index_page(title, subjects, "repositories" if each else "subfolders")
    return Shipment(place, tuple(parcels), {"README.md": page}, targets, whose)


def _named_apart(folders: list[Path]) -> None:
    from bactrian.errors import ConfigError

    names = [folder.resolve().name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"two adapter folders are called {name}",
                "rename one: the sub-folders and repositories are called after them",
            )
