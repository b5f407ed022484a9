"""``bactrian collect``: the collections of the recipe, read into one table a language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bactrian.cli.options import DryRun, Folder, Json, Limit, Set, Verb, shown, verb

if TYPE_CHECKING:
    from bactrian.data.collect import Collected


def collect(
    folder: Folder,
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Read the sources into one table a language; say what they hold and what is wrong with it."""
    from bactrian.data.collect import collect as collecting

    with verb(
        "collect", folder, limit=limit, dry_run=dry_run, as_json=as_json, overrides=overrides
    ) as at:
        if dry_run:
            _foretell(at)
        else:
            _tell(at, collecting(at.workspace))


def _foretell(at: Verb) -> None:
    """Say what would be read; looks at the first rows of files, and asks no network."""
    from bactrian.data.collect import finished, made_from_of
    from bactrian.data.sources.collection import collections_of

    collections = collections_of(at.workspace)
    done = finished(at.workspace, made_from_of(at.workspace, collections)) is not None
    told: dict[str, Any] = {}
    for one in collections:
        size = sum(path.stat().st_size for path in one.files)
        where = one.source.hub or ", ".join(shown(path) for path in one.files)
        shape = one.source.shape if one.source.hub else one.read(verify=False).shape
        told[one.name] = {
            "from": [one.source.hub] if one.source.hub else [str(path) for path in one.files],
            "bytes": None if one.source.hub else size,
            "shape": shape,
            "language": one.language,
        }
        much = "from the Hub" if one.source.hub else f"{size / 1e6:.1f} MB"
        does = "has read" if done else "would read"
        at.say(f"{one.name}  {does} {where}  {much}, shape {shape}, language {one.language}")
    at.result(done=done, collections=told)


def _tell(at: Verb, done: Collected) -> None:
    from bactrian.data.collect import SET_ASIDE
    from bactrian.data.tally import plain

    for name, one in done.collections.items():
        rows = ", ".join(f"{code} {times}" for code, times in one.rows.items()) or "no rows"
        at.say(f"{name}  {rows}  shape {one.shape}")
        for what, counts in (
            ("defects", one.defects),
            ("marks", one.marks),
            ("left out", one.left_out),
            ("set aside", one.set_aside),
        ):
            if counts:
                at.say(f"  {what}: " + ", ".join(f"{why} {n}" for why, n in counts.most_common()))
    paths = {code: at.workspace.stage("sources", code) for code in done.languages}
    if done.set_aside:
        paths[SET_ASIDE] = at.workspace.stage("sources", SET_ASIDE)
    counted = {**done.languages, SET_ASIDE: sum(done.set_aside.values())}
    for code, path in paths.items():
        at.say(f"{code}  {counted[code]} rows  {shown(path)}")
    at.result(
        rows=done.rows,
        languages=done.languages,
        set_aside=done.set_aside,
        defects=done.defects,
        marks=done.marks,
        collections=plain(done.collections),
        paths=paths,
    )
