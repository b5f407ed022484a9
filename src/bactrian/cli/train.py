"""``bactrian train``: LoRA adapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bactrian.cli.options import (
    DryRun,
    Folder,
    Json,
    Languages,
    Limit,
    Set,
    Verb,
    need_extra,
    shown,
    verb,
)

if TYPE_CHECKING:
    from bactrian.train.each import Failed
    from bactrian.train.run import Trained
    from bactrian.workspace import Workspace

RAY = "Over a Ray cluster"


def train(
    folder: Folder,
    adapters: Annotated[
        list[str] | None, typer.Argument(help="Adapters of the recipe; all when none is named.")
    ] = None,
    languages: Languages = "",
    each: Annotated[
        bool, typer.Option("--each", help="An adapter of its own for each language.")
    ] = False,
    engine: Annotated[
        Literal["here", "ray"],
        typer.Option(help="In turn on this machine, or a task each over a Ray cluster."),
    ] = "here",
    num_cpus: Annotated[
        float, typer.Option(help="CPUs and threads of a training.", rich_help_panel=RAY)
    ] = 1.0,
    num_gpus: Annotated[float, typer.Option(help="GPUs of one.", rich_help_panel=RAY)] = 0.0,
    address: Annotated[
        str,
        typer.Option(help="The cluster's; none is $RAY_ADDRESS, or here.", rich_help_panel=RAY),
    ] = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="A dry run that measures no steps.")
    ] = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Train adapters; killed and started again, it goes on from the last checkpoint."""
    need_extra("torch", "training", "train")
    told = list(overrides or [])
    if each:
        told.append(_one_each(folder, languages, told))
    elif languages:
        from bactrian.languages import parse

        name = "-".join(language.code for language in parse(languages))
        told.append(f'train.adapters={{"{name}" = "{languages}"}}')
    with verb("train", folder, limit=limit, dry_run=dry_run, as_json=as_json, overrides=told) as at:
        names = list(dict.fromkeys(adapters or at.workspace.adapters()))
        if dry_run:
            at.result(adapters=_foretold(at, names, probed=not no_probe))
            return
        if engine == "ray":
            from bactrian.train.each import Cluster, over_ray

            cluster = Cluster(address, num_cpus, num_gpus)
            _check(at.workspace, names)
            _independently(at, over_ray(at.workspace, names, cluster))
        elif each and not at.workspace.recipe.train.together:
            from bactrian.train.each import in_turn

            _check(at.workspace, names)
            _independently(at, in_turn(at.workspace, names))
        else:
            _told(at, _trained(at.workspace, names))


def _one_each(folder: Path, languages: str, overrides: Sequence[str]) -> str:
    """Return the override that makes an adapter of each language."""
    from bactrian.languages import parse
    from bactrian.workspace import open_workspace

    found = parse(languages or open_workspace(folder, tuple(overrides)).recipe.languages)
    told = ", ".join(f'"{one.code}" = "{one.code}"' for one in found)
    return f"train.adapters={{{told}}}"


def _check(workspace: Workspace, names: Sequence[str]) -> None:
    """Refuse a name that the recipe lacks before anything begins: it is nobody's bad luck."""
    from bactrian.train.run import languages_of

    for name in names:
        languages_of(workspace, name)


def _foretold(at: Verb, names: Sequence[str], *, probed: bool) -> dict[str, Any]:
    from bactrian.cli.foretold import lines
    from bactrian.train.forecast import forecasts

    results = {}
    for told in forecasts(at.workspace, names, probed=probed):
        results[told.name] = {**asdict(told), "fits": told.memory.fits and told.disk.fits}
        for line in lines(told):
            at.say(line)
    return results


def _trained(workspace: Workspace, names: list[str]) -> Iterator[Trained]:
    """Yield the adapters as they get done: one after the other, or all at once."""
    from bactrian.train.each import tell
    from bactrian.train.run import train as train_one
    from bactrian.train.run import train_several

    if workspace.recipe.train.together and len(names) > 1:
        yield from train_several(workspace, names)
        return
    tell(0, names)
    for done, name in enumerate(names, start=1):
        yield train_one(workspace, name)
        tell(done, names)


def _told(at: Verb, trained: Iterator[Trained]) -> None:
    results: dict[str, Any] = {}
    for done in trained:
        results[done.name] = _facts(done)
        at.say(_line(done))
    at.result(adapters=results)


def _independently(at: Verb, ended: Iterator[Trained | Failed]) -> None:
    """Tell of each as it ends; raises BactrianError at the end where some have failed."""
    from bactrian.errors import BactrianError
    from bactrian.events import emit
    from bactrian.train.each import Failed

    results: dict[str, Any] = {}
    failed: dict[str, Failed] = {}
    for one in ended:
        if isinstance(one, Failed):
            failed[one.name] = one
            emit("warning", text=f"{one.trace}{one.name}: {one.problem} ({one.hint})")
        else:
            results[one.name] = _facts(one)
            at.say(_line(one))
    told = {name: {"problem": one.problem, "hint": one.hint} for name, one in failed.items()}
    at.result(adapters=results, failed=told)
    if failed:
        raise BactrianError(
            f"{len(failed)} of {len(failed) + len(results)} adapters are not trained: "
            f"{', '.join(sorted(failed))}",
            "why is said above; run the same command again, and what is done is found done",
        )


def _facts(done: Trained) -> dict[str, Any]:
    return {"folder": str(done.folder), **asdict(done.facts)}


def _line(done: Trained) -> str:
    from bactrian.cli.losses import in_a_line
    from bactrian.cli.terminal import duration

    losses = in_a_line(done.facts.losses)
    took = duration(done.facts.seconds) if done.fresh else "done before"
    return f"{done.name}  loss {losses}  {took}  {shown(done.folder)}"
