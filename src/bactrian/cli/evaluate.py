"""``bactrian eval``: the base and its adapters on the recipe's tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    from bactrian.evaluate.run import Evaluated
    from bactrian.evaluate.spread import Engine
    from bactrian.workspace import Workspace

RAY = "Over a Ray cluster"
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        help="Tasks in place of the recipe's, joined by commas: xcopa,exams:letter,mine.toml.",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", help="Where a task's data lie, or hub.", metavar="TASK=FOLDER"),
]

Backend = Annotated[
    str,
    typer.Option(
        "--backend", help="Score a server's model or a GGUF file: http://…/v1, gguf:FILE."
    ),
]
Model = Annotated[str, typer.Option("--model", help="The model's name at that server.")]
Name = Annotated[str, typer.Option("--name", help="What results call it; base where not told.")]
EngineName = Annotated[
    Literal["here", "ray"],
    typer.Option(help="In this process (or those of torchrun), or over a Ray cluster."),
]
Actors = Annotated[
    int, typer.Option(min=0, help="Workers; 0 is all there is room for.", rich_help_panel=RAY)
]
Cpus = Annotated[float, typer.Option(help="CPUs and threads of one.", rich_help_panel=RAY)]
Gpus = Annotated[
    float | None,
    typer.Option(help="GPUs of one; 1 where the cluster has any.", rich_help_panel=RAY),
]
Address = Annotated[
    str, typer.Option(help="The cluster's; none is $RAY_ADDRESS, or here.", rich_help_panel=RAY)
]


def evaluate(
    folder: Folder,
    adapters: Annotated[
        list[str] | None,
        typer.Argument(help="Adapters of the recipe, or folders; none named is all there are."),
    ] = None,
    tasks: Tasks = None,
    data: Data = None,
    backend: Backend = "",
    model: Model = "",
    name: Name = "",
    languages: Languages = "",
    engine: EngineName = "here",
    actors: Actors = 0,
    num_cpus: Cpus = 1.0,
    num_gpus: Gpus = None,
    address: Address = "",
    limit: Limit = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    overrides: Set = None,
) -> None:
    """Score the base and the adapters; every number with n and a 95 % interval."""
    need_extra("torch", "evaluation", "train")
    from bactrian.evaluate.run import evaluate as evaluate_models
    from bactrian.models.huge_pages import huge_pages

    huge_pages()
    spread = _spread(engine, actors, num_cpus, num_gpus, address)
    told = [
        *(overrides or []),
        *(["eval.languages={}"] if languages else []),
        *_tasks(tasks or []),
        *map(_data, data or []),
        *_backend(backend, model, name),
    ]
    with verb(
        "eval",
        folder,
        languages=languages,
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
        overrides=told,
    ) as at:
        workspace, names = at.workspace, _names(at, adapters or ())
        if dry_run:
            _foretell(at, 1 + len(names))
        elif _is_first():
            with _opened(spread, alone=bool(workspace.recipe.eval.backend)) as opened:
                _say(at, evaluate_models(workspace, names, engine=opened))
        else:
            _work(workspace, names)


def _spread(
    engine: str, actors: int, num_cpus: float, num_gpus: float | None, address: str
) -> Engine | None:
    """Return what a cluster would compute with; raises ConfigError for what has no meaning."""
    if engine != "ray":
        return None
    from bactrian.cluster import Cluster
    from bactrian.errors import ConfigError
    from bactrian.evaluate.spread import over_ray
    from bactrian.processes import processes

    if processes().world > 1:
        raise ConfigError(
            "torchrun and --engine ray would both spread the work", "start it without torchrun"
        )
    cluster = Cluster(address, num_cpus, num_gpus or 0.0)
    return over_ray(cluster, actors, find_gpus=num_gpus is None)


def _is_first() -> bool:
    from bactrian.processes import processes

    return processes().main


@contextmanager
def _opened(spread: Engine | None, *, alone: bool) -> Iterator[Engine | None]:
    """Give what computes beside this process; ``alone`` says that a backend does."""
    from bactrian.errors import ConfigError
    from bactrian.evaluate.spread import over_processes
    from bactrian.processes import processes

    if spread and alone:
        raise ConfigError(
            "a backend computes by itself, there is nothing to spread", "leave --engine ray out"
        )
    if processes().world > 1 and not alone:
        with over_processes(processes()) as engine:
            yield engine
    else:
        yield spread


def _work(workspace: Workspace, names: Sequence[str]) -> None:
    """Be one of torchrun's processes beyond the first; where a backend computes, do nothing."""
    from bactrian.evaluate.run import folders
    from bactrian.evaluate.spread import work
    from bactrian.processes import processes

    if not workspace.recipe.eval.backend:
        work(workspace, folders(workspace, names), processes())


def _foretell(at: Verb, models: int) -> None:
    """Print what would be asked and written, by task and language."""
    from bactrian.evaluate.run import forecast, to_write

    asked, written = forecast(at.workspace), to_write(at.workspace)
    for one in asked:
        at.say(f"{one.task} {one.language}  {one.items} items, {one.options} texts to score")
    for each in written:
        passed = f", {each.passed_over} rows passed over" if each.passed_over else ""
        at.say(
            f"{each.task} {each.language}  {each.prompts} prompts to answer, at most "
            f"{each.tokens:,} tokens{passed}"
        )
    texts, tokens = sum(one.options for one in asked), sum(each.tokens for each in written)
    at.say(
        f"under {models} model{'s' if models > 1 else ''}: {models * texts:,} texts to score"
        + (f", at most {models * tokens:,} tokens to write" if tokens else "")
    )
    at.result(
        models=models,
        tasks=[asdict(one) for one in asked],
        writes=[asdict(each) for each in written],
    )


def _say(at: Verb, done: Evaluated) -> None:
    """Print the scores, and all of it for a program."""
    for score in done.results.scores:
        at.say(
            f"{score.task} {score.language}  {score.model:8} {score.metric} "
            f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}] n {score.n}"
        )
    at.say(shown(done.path))
    at.result(
        path=done.path,
        scores=[asdict(score) for score in done.results.scores],
        differences=[asdict(difference) for difference in done.results.differences],
    )


def _names(at: Verb, told: Sequence[str]) -> list[str]:
    """Return the adapters to measure; the recipe's where none is named, none before training."""
    workspace = at.workspace
    if workspace.recipe.eval.backend and not told:
        return []
    if told:
        return [_adapter(workspace.adapter(name), name) for name in told]
    names = list(workspace.adapters())
    if any(workspace.adapter(name).is_dir() for name in names):
        return names
    at.say("no adapter is trained yet: the base alone")
    return []


def _tasks(told: list[str]) -> list[str]:
    """Return the override of the tasks; a task file is one of this folder, not the recipe's.

    What follows an lm_eval task is one as well, where no task of ours is called so.
    """
    from bactrian import registry

    known, names = registry.names("tasks"), []
    for part in told:
        prefix = ""
        for name in filter(None, map(str.strip, part.split(","))):
            ours = name.endswith(".toml") or re.split("[:@]", name)[0] in known
            prefix = "lm_eval:" if name.startswith("lm_eval:") else prefix
            names.append(name if ours else prefix + name)
    whole = [_absolute(name) if name.endswith(".toml") else name for name in names]
    return [f"eval.tasks={json.dumps(whole, ensure_ascii=False)}"] if names else []


def _data(told: str) -> str:
    """Return the override of one place of data; raises ConfigError where no task is named."""
    from bactrian.errors import ConfigError

    task, equals, place = told.partition("=")
    if not equals or not task.strip() or not place.strip():
        raise ConfigError(f"--data {told} names no task", "write --data exams=FOLDER")
    where = place if place == "hub" else _absolute(place)
    return f"eval.data.{task.strip()}={json.dumps(where, ensure_ascii=False)}"


def _backend(backend: str, model: str, name: str) -> list[str]:
    """Return the overrides of what scores; a file is one of this folder, not the recipe's."""
    if backend.startswith("gguf:"):
        backend = f"gguf:{_absolute(backend.removeprefix('gguf:'))}"
    told = {"backend": backend, "backend_model": model, "backend_name": name}
    return [
        f"eval.{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in told.items()
        if value
    ]


def _adapter(known: Path, name: str) -> str:
    """Return the name of an adapter of the workspace, or the whole path of a folder elsewhere."""
    return name if known.is_dir() or not Path(name).is_dir() else _absolute(name)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
