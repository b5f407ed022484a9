"""Measures a base and its adapters on the recipe's tasks: items, scores, results on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bactrian import __version__, registry, table
from bactrian.errors import AdapterError, DataError
from bactrian.evaluate import results as writing
from bactrian.evaluate.answers import write_answers
from bactrian.evaluate.compare import Draws
from bactrian.evaluate.engine import (
    Questions,
    Scorers,
    adapter_hash,
    answer,
    questions,
    scorers,
)
from bactrian.evaluate.results import Measured, Results, differences_of, scores_of
from bactrian.evaluate.store import Store, open_store
from bactrian.evaluate.tasks import Item, Task
from bactrian.events import emit
from bactrian.files import locked, write_text
from bactrian.languages import Language
from bactrian.models import prompts
from bactrian.models.adapters import facts_of
from bactrian.models.base import Base, load, locate, tokenizer_of
from bactrian.runs import environment
from bactrian.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was measured."""

    path: Path
    results: Results
    fresh: bool
    """False where the very same evaluation was there already."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation would ask."""

    task: str
    language: str
    items: int
    options: int


def forecast(workspace: Workspace) -> tuple[Asked, ...]:
    """Return the items of every task and language; loads no weights."""
    recipe = workspace.recipe
    chat = recipe.train.prompt == "chat"  # its template is the tokenizer's
    tokenizer = tokenizer_of(locate(recipe.train.base, network=recipe.network)) if chat else None
    return tuple(
        Asked(task.name, language.code, len(items), sum(len(item.options) for item in items))
        for task in tasks(workspace, tokenizer)
        for language in task.languages()
        for items in [list(task.items(language))]
    )


def evaluate(
    workspace: Workspace, names: Sequence[str], base: Callable[[], Base] | None = None
) -> Evaluated:
    """Measure the base and the adapters ``names``; what is scored already is not scored again.

    ``base`` gives the loaded base where several verbs share one; it is as it was afterwards.
    """
    adapters = {name: workspace.adapter(name) for name in names}
    path = workspace.results / "results.json"
    made_from = _made_from(workspace, adapters)
    stamp = workspace.results / ".made_from"
    if path.is_file() and stamp.is_file() and stamp.read_text() == made_from:
        return Evaluated(path, writing.read(path), fresh=False)
    with (
        locked(workspace.results),
        open_store(workspace.results / "scores.sqlite") as store,
    ):
        # until all is written, what lies there belongs to no one recipe
        stamp.unlink(missing_ok=True)
        recipe = workspace.recipe
        forecast(workspace)  # bad data is found before the weights are loaded
        loaded = base() if base else load(recipe.train.base, network=recipe.network)
        ready = scorers(loaded, adapters)
        try:
            results = _measure(workspace, ready, store)
        finally:
            ready.detach()
        writing.write(results, workspace.results, environment())
        write_text(stamp, made_from)
    emit("made", path=str(path), scores=len(results.scores))
    return Evaluated(path, results, fresh=True)


def tasks(workspace: Workspace, tokenizer: object = None) -> list[Task]:
    """Return the tasks of the recipe."""
    return [
        registry.find("tasks", name)(workspace, tokenizer) for name in workspace.recipe.eval.tasks
    ]


def _measure(workspace: Workspace, ready: Scorers, store: Store) -> Results:
    recipe, base = workspace.recipe, ready.base
    draws = Draws(recipe.eval.draws, recipe.seed)
    measured, notes = [], []
    for task in tasks(workspace, base.tokenizer):
        for language in task.languages():
            items = tuple(task.items(language))
            asked = questions(base, task.name, language.code, items, task.rules)
            answer(ready, asked, store, recipe.eval.batch_tokens)
            found = {name: store.get(key, asked.key) for name, key in ready.keys.items()}
            signature = _signature(task, language, items, asked, ready)
            measured.append(Measured(task.name, language.code, task.rules, signature, items, found))
            notes += _notes(asked)
    if recipe.eval.samples:
        write_answers(workspace, ready)
    scores = tuple(score for one in measured for score in scores_of(one, draws))
    emit("note", text=f"intervals from {draws}")
    differences = differences_of(measured, draws)
    return Results(base.id, tuple(ready.keys), scores, differences, tuple(notes))


def _signature(
    task: Task, language: Language, items: Sequence[Item], asked: Questions, ready: Scorers
) -> str:
    data = table.hash_of([[item.id, item.options, item.gold] for item in items])
    fields = [
        ("task", task.name),
        ("lang", language.code),
        ("n", str(len(items))),
        *task.rules.facts,
        ("join", task.rules.join),
        ("texts", asked.key[:8]),
        ("data", data[:8]),
        ("base", ready.base.location.fingerprint[:8]),
        ("dtype", ready.base.dtype),
        ("bactrian", __version__),
    ]
    return "|".join(f"{name}:{value}" for name, value in fields)


def _notes(asked: Questions) -> list[str]:
    where = f"{asked.task} {asked.language}"
    notes = []
    if cut := sum(map(bool, asked.dropped)):
        notes.append(f"{where}: {cut} contexts were longer than the model and cut from the left")
    if asked.spanning:
        notes.append(f"{where}: in {asked.spanning} options a token spanned the join")
    return notes


def _made_from(workspace: Workspace, adapters: dict[str, Path]) -> str:
    """Return the hash of everything the results follow from, or of it as far as it is on disk."""
    recipe = workspace.recipe
    told_prompt = prompts.told(recipe.train.prompt, workspace.recipe_folder)
    known: list[list[str]] = []
    for name, folder in adapters.items():
        if not folder.is_dir():
            raise AdapterError(
                f"there is no adapter {name} in {folder.parent}", "run bactrian train first"
            )
        facts = facts_of(folder)
        known.append([name, adapter_hash(folder)])
        if facts and (trained := prompts.told_by(facts)) != told_prompt:
            raise AdapterError(
                f"{folder} was trained with the prompt style {trained.mark}, "
                f"the recipe says {told_prompt.mark}",
                f'set train.prompt = "{facts.prompt}"'
                if trained.template is None
                else f"its words are in {folder / 'bactrian.json'}: put them into a TOML file",
            )
    where = locate(recipe.train.base, network=recipe.network)
    told = [recipe.eval.model_dump(mode="json"), recipe.limit, recipe.languages]
    data: list[object] = []
    for language in workspace.languages:
        found = table.info(workspace.split(language.code, "validation"))
        data.append([language.code, found.content if found else ""])
    for folder_name in recipe.eval.data.values():
        folder = workspace.given(folder_name)
        if not folder.is_dir():
            raise DataError(f"{folder} does not exist", "mend [eval.data] in the recipe")
        data.append(_content(folder))
    return table.hash_of(
        "results",
        1,
        __version__,
        known,
        told,
        told_prompt.mark,
        recipe.seed,
        data,
        where.fingerprint,
    )


def _content(folder: Path) -> list[list[str]]:
    """Return name and hash of every file: the same data is the same wherever and whenever put."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        [str(path.relative_to(folder)), hashlib.blake2b(path.read_bytes()).hexdigest()]
        for path in files
    ]
