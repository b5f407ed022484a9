"""The options that verbs share, and how a verb begins and ends."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

Folder = Annotated[
    Path, typer.Argument(help="Folder with a recipe.toml, or a recipe.", show_default=False)
]
Languages = Annotated[
    str,
    typer.Option(
        "--languages", "-l", help="Codes, all, seen:llama, group:indic, joined by commas."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="First rows or items only; 0 is all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and end.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; words on stderr.")]
Prompt = Annotated[str, typer.Option("--prompt", help="Prompt style where no adapter says it.")]
Network = Annotated[bool, typer.Option("--network", help="Let the Hub be asked.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Take the place of what stands at --to.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="section.key=value, in place of the recipe's.", metavar="KEY=VALUE"),
]


class Verb:
    """A verb at work: where it works, and how it speaks."""

    def __init__(self, workspace: Any, as_json: bool, *, silent: bool = False) -> None:
        self.workspace = workspace
        self.as_json = as_json
        self.silent = silent

    def say(self, line: str = "") -> None:
        """Print a line for a person."""
        if not self.silent:
            print(line, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def result(self, **facts: Any) -> None:
        """Print the JSON object, where one was asked for."""
        if self.as_json and not self.silent:
            import orjson

            print(orjson.dumps(facts, default=str).decode(), flush=True)


@contextmanager
def verb(
    name: str,
    folder: Path,
    *,
    languages: str = "",
    limit: int = 0,
    dry_run: bool = False,
    as_json: bool = False,
    overrides: list[str] | None = None,
) -> Iterator[Verb]:
    """Open the workspace and, unless it is a dry run, keep a run directory while inside."""
    from bactrian import runs
    from bactrian.languages import parse
    from bactrian.providers.secrets import nothing_is_sent
    from bactrian.train.processes import after_main
    from bactrian.workspace import open_workspace

    told = list(overrides or [])
    if languages:
        parse(languages)
        told.append(f'languages="{languages}"')
    if limit:
        told.append(f"limit={limit}")
    workspace = open_workspace(folder, tuple(told))
    parse(workspace.recipe.languages)
    if not _speaks():
        with after_main():
            yield Verb(workspace, as_json, silent=True)
        return
    with telling(as_json):
        if dry_run:
            with nothing_is_sent():
                yield Verb(workspace, as_json)
            return
        with runs.run(workspace.runs, name, workspace.recipe, ["bactrian", *sys.argv[1:]]):
            yield Verb(workspace, as_json)


@contextmanager
def telling(as_json: bool) -> Iterator[None]:
    """Tell decisions, progress and warnings as they come, inside the block."""
    from bactrian import events
    from bactrian.cli.terminal import reader

    with reader(as_json) as terminal, events.reading(terminal):
        yield


def typed() -> str:
    """Return the command as it was typed, for a shell."""
    return shlex.join(["bactrian", *sys.argv[1:]])


def _speaks() -> bool:
    """Whether this process has the word: of several that torchrun started, the first has."""
    import os

    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0"


def shown(path: Path) -> str:
    """Return the path as a person here would write it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def need_extra(package: str, verb_name: str, extra: str) -> None:
    """Raise MissingExtra where a package that a verb needs is absent."""
    from importlib.util import find_spec

    from bactrian.errors import MissingExtra

    if find_spec(package) is None:
        raise MissingExtra(
            f"{verb_name} needs {package}, which is not installed",
            f"pip install 'bactrian[{extra}]'",
        )
