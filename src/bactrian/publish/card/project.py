"""What a project still knows of an adapter: the recipe it was trained by, its data, its machine."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.errors import BactrianError, DataError
from bactrian.models.adapters import AdapterFacts
from bactrian.publish.card.licences import COLLECTIONS, Part
from bactrian.publish.card.subject import Data, LanguageFacts
from bactrian.publish.folder.traces import elsewhere
from bactrian.recipe import Recipe, Source
from bactrian.runs import every_run
from bactrian.workspace import Workspace

SHORT = 300
"""Characters; a held-out row that is shown as an example is no longer."""
TRAINED_BY = ("base", "prompt", "adapter", "adapters", "lora", "max_tokens", "max_source_tokens",
              "overlong", "temperature", "epochs", "max_steps", "batch_rows", "batch_tokens",
              "learning_rate", "warmup", "warmup_steps", "schedule", "weight_decay", "clip",
              "train_on_inputs", "dtype", "quantize", "revision", "together",
              "patience")  # fmt: skip
"""Keys of [train] that the weights follow from."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The run that made an adapter, as its folder in ``runs`` has it."""

    recipe: Recipe
    versions: Mapping[str, str]
    found: bool
    """False where no run is there: the project's recipe of today stands in then."""


def trained(workspace: Workspace, folder: Path, facts: AdapterFacts) -> Trained:
    """Return the newest run that put the folder in place."""
    for run in reversed(list(every_run(workspace.runs))):
        if _made(run.path / "events.jsonl", folder):
            recipe = _recipe(run.path / "recipe.toml")
            if recipe is not None and recipe.train.base == facts.base:
                return Trained(recipe, _versions(run.path / "environment.json"), True)
    return Trained(workspace.recipe, {}, False)


def data_of(workspace: Workspace, told: Trained, learnt: tuple[LanguageFacts, ...]) -> Data:
    """Return where the rows come from; ``learnt`` has the hashes of those that were trained on."""
    recipe = told.recipe
    changed = [
        one.code
        for one in learnt
        if one.content and (now := _content(workspace, one.code)) and now != one.content
    ]
    return Data(
        tuple(_source(name, source) for name, source in recipe.sources.items()),
        tuple(_makers(recipe)),
        tuple(dict.fromkeys(source.hub for source in recipe.sources.values() if source.hub)),
        tuple(changed),
    )


def licences(recipe: Recipe) -> tuple[Part, ...]:
    """Return the licence of every collection; ``unknown`` where nobody named it."""
    return tuple(
        Part(f"data: {name}", source.licence or COLLECTIONS.get(source.hub.lower(), ""))
        for name, source in recipe.sources.items()
    ) or (Part("data", ""),)


def with_rows(
    workspace: Workspace, learnt: tuple[LanguageFacts, ...], facts: AdapterFacts
) -> tuple[LanguageFacts, ...]:
    """Return what is known by language, from the dataset where the adapter's card says nothing."""
    if learnt:
        return learnt
    found = []
    for code in facts.languages:
        told = table.info(workspace.split(code, "train"))
        loss = facts.losses.get(code)
        found.append(
            LanguageFacts(
                code,
                rows=str(told.rows) if told else "",
                training="" if loss is None else f"{loss:.3f}",
                content=told.content if told else "",
            )
        )
    return tuple(found)


def example(workspace: Workspace, languages: tuple[str, ...]) -> tuple[str, str] | None:
    """Return instruction and input of a short held-out row in the first language that has one."""
    for code in languages:
        path = workspace.split(code, "validation")
        if not path.is_file():
            continue
        rows = (row.example for row in table.read(path))
        for one in rows:
            if one.input and len(one.instruction) + len(one.input) <= SHORT:
                return one.instruction, one.input
        for row in table.read(path):
            if len(row.example.instruction) <= SHORT:
                return row.example.instruction, ""
    return None


def recipe_of(recipe: Recipe) -> str:
    """Return the recipe's lines that the weights follow from, without places of this machine."""
    import tomli_w

    told = recipe.model_dump(mode="json", exclude_none=True)
    train = {key: told["train"][key] for key in TRAINED_BY if key in told["train"]}
    kept = {key: told[key] for key in ("name", "languages", "seed", "limit")}
    written: dict[str, Any] = _plain({**kept, "train": train})
    return tomli_w.dumps(written).strip()


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _plain(value) for key, value in told.items()}
    return elsewhere(told) if isinstance(told, str) else told


def _made(events: Path, folder: Path) -> bool:
    if not events.is_file():
        return False
    ending = "/".join(folder.resolve().parts[-2:])
    for line in events.read_text(encoding="utf-8").splitlines():
        if '"made"' in line and ending in line:
            told = json.loads(line)
            if told.get("kind") == "made" and str(told.get("path", "")).endswith(ending):
                return True
    return False


def _recipe(path: Path) -> Recipe | None:
    """Return the recipe of a run, None where a later version of bactrian cannot read it."""
    from bactrian.recipe import of_values

    try:
        return of_values(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, BactrianError):
        return None


def _versions(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["versions"]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(name): str(version) for name, version in told.items()}


def _content(workspace: Workspace, code: str) -> str:
    try:
        found = table.info(workspace.split(code, "train"))
    except DataError:
        return ""
    return found.content if found else ""


def _source(name: str, source: Source) -> str:
    place = source.hub or ", ".join(Path(file).name for file in source.files)
    at = f" at {source.revision}" if source.hub and source.revision else ""
    return f"{name}: {place}{at}" if place else name


def _makers(recipe: Recipe) -> Iterator[str]:
    for verb, told in (("translated", recipe.translate), ("answered", recipe.respond)):
        if recipe.sources:
            model = f":{elsewhere(told.model)}" if told.model else ""
            yield f"{verb} by {told.using}{model}"
