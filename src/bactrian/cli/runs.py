"""``bactrian runs``: what has been run in a folder, and where it stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bactrian.cli.options import Json, shown


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder with runs.")] = Path(),
    as_json: Json = False,
) -> None:
    """List the runs of a folder, oldest first."""
    from bactrian.cli.terminal import duration
    from bactrian.errors import RunError
    from bactrian.runs import every_run

    place = folder / "runs" if (folder / "runs").is_dir() else folder
    found = [(run, run.status) for run in every_run(place)]
    if as_json:
        import orjson

        told = [{"path": str(run.path), **asdict(status)} for run, status in found]
        print(orjson.dumps(told).decode())
        return
    if not found:
        raise RunError(f"{place} holds no runs", "name a folder that a verb has worked in")
    for run, status in found:
        took = duration(
            (time.time() if status.state == "running" else status.updated) - status.started
        )
        at = f"  {status.task} {status.done}/{status.total}" if status.state != "done" else ""
        why = f"  {status.problem}" if status.problem else ""
        print(f"{status.state:12} {took:>14}  {shown(run.path)}{at if status.task else ''}{why}")
