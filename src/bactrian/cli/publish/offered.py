"""What both publish commands do: say the folder, lay it, check it, and send it where asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bactrian.cli.options import shown

if TYPE_CHECKING:
    from bactrian.publish.card.known import Asked
    from bactrian.publish.card.subject import Subject
    from bactrian.publish.folder import Sorted

Project = Annotated[
    Path | None,
    typer.Option("--project", help="Folder with recipe, runs, data and results of it."),
]
Results = Annotated[
    Path | None, typer.Option("--results", help="Folder that bactrian eval wrote, if elsewhere.")
]
Repo = Annotated[str, typer.Option("--repo", help="Where it goes on the Hub: user/name.")]
To = Annotated[Path | None, typer.Option("--to", help="Folder to lay; else published/NAME.")]
Push = Annotated[bool, typer.Option("--push", help="Send the folder, as it lies there.")]
Private = Annotated[bool, typer.Option("--private", help="A new repository is not public.")]
Branch = Annotated[
    str, typer.Option("--branch", "--revision", help="Branch of the repository; made if need be.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Delete what else the repository holds.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Lay the folder anew.")]
BaseId = Annotated[str, typer.Option("--base-id", help="Id on the Hub that readers load.")]
BaseLicence = Annotated[str, typer.Option("--base-licence", help="Where it is not known.")]
DataLicence = Annotated[
    str, typer.Option("--data-licence", help="Where no recipe says it; joined by commas.")
]
Example = Annotated[
    bool, typer.Option(help="Show a held-out row of the project as the prompt's example.")
]
DatasetId = Annotated[str, typer.Option("--dataset-id", help="The data's own id on the Hub.")]
Licence = Annotated[
    str, typer.Option("--licence", help="Yours, in place of what follows from base and data.")
]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One folder of what is laid: a subject, its files, and the texts that are written."""

    subject: Subject
    files: Sorted
    inside: str
    """Where it lies in the whole; empty for the whole itself."""
    written: Mapping[str, str]

    @property
    def bytes(self) -> int:
        """Of the files that are copied."""
        return sum(path.stat().st_size for path in self.files.kept)


@dataclass(frozen=True, slots=True)
class Shipment:
    """All that is laid in one folder, and which of its folders goes to which repository."""

    place: Path
    parcels: tuple[Parcel, ...]
    pages: Mapping[str, str]
    """Texts beside the parcels: the index."""
    targets: Mapping[str, str]
    """Folder inside (empty: the whole) to repository."""
    whose: tuple[Path, ...]
    """Folders whose places nobody has to know."""


def parcel(subject: Subject, folder: Path, names: Sequence[str], inside: str = "") -> Parcel:
    """Return the folder's share: what belongs to it, with card and results."""
    from bactrian.publish.card.page import card
    from bactrian.publish.eval_results import eval_results
    from bactrian.publish.folder import sorted_out

    written = {"README.md": card(subject)}
    if subject.evaluation is not None and not subject.subfolder:
        written |= eval_results(subject.evaluation, subject.repo)
    return Parcel(subject, sorted_out(folder, names), inside, written)


def asked_of(project: Path | None, results: Path | None, **told: Any) -> Asked:
    """Return what the user adds to the files; opens the project."""
    from bactrian.publish.card.known import Asked
    from bactrian.workspace import open_workspace

    return Asked(project=open_workspace(project) if project else None, results=results, **told)


def repository(repo: str, push: bool, name: str, *, dry_run: bool) -> str:
    """Return user/name; the user is the token's where only a name, or nothing, was told.

    Raises ConfigError for a name that the Hub cannot have.
    """
    from bactrian.errors import ConfigError
    from bactrian.publish.card.known import HUB_ID

    told = repo or (name if push else "")
    if told and not HUB_ID.fullmatch(told if "/" in told else f"user/{told}"):
        raise ConfigError(f"{told} is no name of a repository", "write it as --repo user/name")
    if told and "/" not in told and push and not dry_run:
        from bactrian.publish.push import who

        return f"{who()}/{told}"
    return told


def offer(
    shipment: Shipment,
    *,
    push: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    where: Mapping[str, Any],
) -> None:
    """Lay the folder, or take the one that lies there to be sent, and send it where asked."""
    told: dict[str, Any] = _facts(shipment)
    say = _sayer(as_json)
    stands = shipment.place.exists()
    if dry_run:
        _foretell(shipment, say)
    elif push and stands and not overwrite:
        say(f"{shown(shipment.place)} is sent as it lies there; --overwrite lays it anew")
    else:
        _lay(shipment, overwrite)
        _tell(shipment, say)
    if push and not dry_run:
        told["pushed"] = _send(shipment, say, where)
    elif not dry_run:
        say(f"look at {shown(shipment.place / 'README.md')}, then send it: the same with --push")
    if as_json:
        import orjson

        print(orjson.dumps({**told, "dry_run": dry_run}, default=str).decode(), flush=True)


def _lay(shipment: Shipment, overwrite: bool) -> None:
    from bactrian.publish import folder
    from bactrian.publish.exported import check_room, placed

    check_room(shipment.place, sum(one.bytes for one in shipment.parcels))
    with placed(shipment.place, overwrite=overwrite) as staged:
        for one in shipment.parcels:
            folder.lay(one.files, staged / one.inside, one.subject.base.id, one.written)
        for name, text in shipment.pages.items():
            (staged / name).write_text(text, encoding="utf-8")
        folder.check(staged, shipment.whose)


def _send(shipment: Shipment, say: Any, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Send every folder to its repository; a repository is one commit."""
    from dataclasses import asdict

    from bactrian.publish import folder
    from bactrian.publish.push import Place, push

    _quiet()
    files = folder.check(shipment.place, shipment.whose)
    found = []
    for inside, repo in shipment.targets.items():
        part = shipment.place / inside
        prefix = f"{inside}/" if inside else ""
        mine = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        if not inside and len(shipment.targets) > 1:
            mine = [name for name in mine if "/" not in name]
        one = push(part, _sendable(part, mine, say), Place(repo, **where))
        found.append(asdict(one))
        if not one.sent and not one.deleted:
            say(f"{one.url}  nothing to do: the same {one.files} files are there already")
            continue
        gone = f", {one.deleted} deleted" if one.deleted else ""
        say(
            f"{one.url}  {one.sent} of {one.files} files sent{gone} in one commit "
            f"({one.commit[:8]}); fetched back, the same {one.compared}"
        )
    return found


def _sendable(part: Path, names: Sequence[str], say: Any) -> list[str]:
    from bactrian.publish.folder import unknown

    strange = set(unknown(part))
    for name in sorted(strange & set(names)):
        say(f"left out: {name} does not belong there")
    return [name for name in names if name not in strange]


def _tell(shipment: Shipment, say: Any) -> None:
    from bactrian.markdown import size

    total = sum(one.bytes for one in shipment.parcels)
    cards = f"{len(shipment.parcels)} card{'s' if len(shipment.parcels) > 1 else ''}"
    say(f"{shown(shipment.place)}  {cards}, {size(total)} of files")
    _notes(shipment, say)


def _foretell(shipment: Shipment, say: Any) -> None:
    from bactrian.markdown import size

    say(f"would lay {shown(shipment.place)}")
    for one in shipment.parcels:
        into = f"  {one.inside}/" if one.inside else "  "
        for path in one.files.kept:
            say(f"{into}{path.name}  {size(path.stat().st_size)}")
        for name in one.written:
            say(f"{into}{name}  written anew")
    for inside, repo in shipment.targets.items():
        say(f"would send {inside or 'all of it'} to {repo or 'the repository that --repo names'}")
    _notes(shipment, say)


def _notes(shipment: Shipment, say: Any) -> None:
    """Say what a maker has to know: what was left out, what is missing, which licence follows."""
    if not any(shipment.targets.values()):
        say("note: the cards say this folder, for no --repo was named")
    left = [
        f"{one.inside}/{name}".lstrip("/") for one in shipment.parcels for name in one.files.left
    ]
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        say(f"left out: {len(left)} files that do not belong there: {', '.join(left[:5])}{more}")
    for note in dict.fromkeys(note for one in shipment.parcels for note in _of(one.subject)):
        say(f"note: {note}")


def _of(subject: Subject) -> Sequence[str]:
    from bactrian.publish.eval_results import left_out

    notes = [f"licence: {', '.join(subject.licence.ids)}", *subject.licence.notes]
    notes += subject.doubts
    if not subject.base.on_hub and subject.kind == "adapter":
        notes.append(
            f"{subject.base.id} is no id of the Hub: readers must name the base, "
            "unless --base-id writes one"
        )
    if not subject.languages:
        notes.append("no language is known: name them with --languages")
    if subject.prompt is None:
        notes.append("the prompt style is not known: name it with --prompt")
    if subject.evaluation is None:
        notes.append("no evaluation is at hand: the card claims nothing; --results names one")
    elif outside := left_out(subject.evaluation):
        notes.append(
            f"not in .eval_results, for their data are not on the Hub: {', '.join(outside)}"
        )
    if subject.example is not None:
        notes.append("the card shows a held-out row: look at it, or leave it out: --no-example")
    if subject.data.changed:
        notes.append(f"the rows of {', '.join(subject.data.changed)} have changed since training")
    return notes


def _facts(shipment: Shipment) -> dict[str, Any]:
    return {
        "folder": str(shipment.place),
        "parcels": [
            {
                "name": one.subject.name,
                "inside": one.inside,
                "files": [*(path.name for path in one.files.kept), *one.written],
                "left_out": one.files.left,
                "bytes": one.bytes,
                "licence": one.subject.licence.ids,
                "languages": [language.code for language in one.subject.languages],
                "notes": list(_of(one.subject)),
            }
            for one in shipment.parcels
        ],
        "repositories": list(dict.fromkeys(filter(None, shipment.targets.values()))),
    }


def _sayer(as_json: bool) -> Any:
    stream = sys.stderr if as_json else sys.stdout
    return lambda line: print(line, file=stream, flush=True)


def _quiet() -> None:
    """Draw bars on a terminal only."""
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()
