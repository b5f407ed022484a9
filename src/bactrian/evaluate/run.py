"""Measures a base and its adapters on the recipe's tasks: items, scores, results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bactrian import __version__, table
from bactrian.errors import AdapterError, ConfigError, DataError
from bactrian.evaluate import backends, contamination
from bactrian.evaluate import parts as parting
from bactrian.evaluate import results as writing
from bactrian.evaluate.answers import write_answers
from bactrian.evaluate.compare import Draws
from bactrian.evaluate.confusion.compared import LINES
from bactrian.evaluate.confusion.task import Confusion
from bactrian.evaluate.engine import Scorers, adapter_hash, scorers
from bactrian.evaluate.results import Found, Measured, Results, results_of
from bactrian.evaluate.spread import Engine
from bactrian.evaluate.store import Store, open_store
from bactrian.evaluate.survey import Asked, Written, forecast, to_write
from bactrian.evaluate.tasks.benchmark import HUB
from bactrian.evaluate.tasks.finding import tasks
from bactrian.evaluate.tasks.held_out import HeldOut
from bactrian.events import emit
from bactrian.files import locked, write_text
from bactrian.languages import get
from bactrian.models import prompts
from bactrian.models.adapters import BASE, facts_of
from bactrian.models.base import Base, of, place_of
from bactrian.runs import environment
from bactrian.workspace import Workspace

__all__ = [
    "Asked",
    "Evaluated",
    "Written",
    "evaluate",
    "folders",
    "forecast",
    "tasks",
    "to_write",
]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was measured."""

    path: Path
    results: Results
    fresh: bool
    """False where the very same evaluation was there already."""


def evaluate(
    workspace: Workspace,
    names: Sequence[str],
    base: Callable[[], Base] | None = None,
    engine: Engine | None = None,
) -> Evaluated:
    """Measure the base and the adapters ``names``; what is scored already is not scored again.

    A name is that of an adapter of the workspace, or its folder elsewhere. ``base`` gives the
    loaded base where several verbs share one; it is as it was afterwards. ``engine`` opens those
    that compute in place of this process, see ``spread``.
    """
    adapters = folders(workspace, names)
    _data_folders(workspace)
    if not workspace.recipe.eval.backend:
        return _evaluate(workspace, adapters, engine or _here(base))
    if adapters:
        raise ConfigError(
            "a backend is one model, and adapters are named besides",
            "have the server put the adapter on, and name it by --model",
        )
    recipe = workspace.recipe
    chat = recipe.train.prompt == "chat"
    with backends.opened(recipe.eval, workspace.recipe_folder, chat) as served:
        return _evaluate(workspace, adapters, _here(None), served)


def _here(base: Callable[[], Base] | None) -> Engine:
    """Return the engine of this process alone."""

    @contextmanager
    def engine(workspace: Workspace, adapters: Mapping[str, Path]) -> Iterator[Scorers]:
        ready = scorers(base() if base else of(workspace.recipe), adapters)
        try:
            yield ready
        finally:
            ready.detach()

    return engine


def _evaluate(
    workspace: Workspace,
    adapters: Mapping[str, Path],
    engine: Engine,
    served: Scorers | None = None,
) -> Evaluated:
    """Measure what is given; ``served`` in place of the engine where there is a backend."""
    asked = forecast(workspace)  # bad data is found before the weights are loaded
    path = workspace.results / "results.json"
    made_from = _made_from(workspace, adapters, asked, served)
    stamp = workspace.results / ".made_from"
    if path.is_file() and stamp.is_file() and stamp.read_text() == made_from:
        return Evaluated(path, writing.read(path), fresh=False)
    with (
        locked(workspace.results),
        open_store(workspace.results / "scores.sqlite") as store,
    ):
        # until all is written, what lies there belongs to no one recipe
        stamp.unlink(missing_ok=True)
        opened = nullcontext(served) if served else engine(workspace, adapters)
        with opened as ready:
            found = _measure(workspace, ready, store, asked)
        # those that computed are let go: what follows needs no model
        results = _results(workspace, found)
        if Confusion.name not in workspace.recipe.eval.tasks:  # those of other results than these
            (workspace.results / LINES).unlink(missing_ok=True)
        writing.write(results, workspace.results, environment())
        write_text(stamp, made_from)
    emit("made", path=str(path), scores=len(results.scores))
    return Evaluated(path, results, fresh=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """What models scored and wrote."""

    base: str
    models: tuple[str, ...]
    measured: tuple[Measured, ...]
    beside: tuple[Any, ...]
    """Numbers that tasks made themselves."""
    notes: tuple[str, ...]


def _measure(workspace: Workspace, ready: Scorers, store: Store, asked: Sequence[Asked]) -> _Found:
    """Have scored and written what is missing of what is asked."""
    recipe = workspace.recipe
    found = tasks(workspace, ready.base.tokenizer)
    parts = (
        parting.part(task, get(one.language), ready)
        for task in found
        for one in asked
        if one.task == task.name
    )
    measured: list[Measured] = []
    notes: list[str] = []
    for one in parting.scored(parts, ready, store, recipe.eval.batch_tokens):
        measured.append(parting.measured(one, ready, store))
        notes += parting.notes_of(one)
    # lm-eval's tasks and answers have numbers that no item has: they make them themselves
    beside = [
        task.beside(ready, _by_language(measured, task.name), recipe.eval.draws)
        for task in found
        if hasattr(task, "beside")
    ]
    if recipe.eval.samples:
        write_answers(workspace, ready)
    return _Found(ready.base.id, tuple(ready.keys), tuple(measured), tuple(beside), tuple(notes))


def _results(workspace: Workspace, found: _Found) -> Results:
    """Make every number of what was found; needs no model."""
    recipe = workspace.recipe
    draws = Draws(recipe.eval.draws, recipe.seed)
    emit("note", text=f"intervals from {draws}")
    met = _met(workspace, found.measured) if recipe.eval.contamination else ()
    notes = [*found.notes, *contamination.notes_of(met)]
    if recipe.eval.contamination and (absent := contamination.without_rows(workspace)):
        notes.append(f"contamination: the dataset has no training rows in {', '.join(absent)}")
    dirty = contamination.dirty_of(met)
    made = results_of(found.base, found.measured, draws, notes, dirty=dirty)
    return _with(replace(made, models=found.models), found.beside)


def _by_language(measured: Sequence[Measured], task: str) -> dict[str, Mapping[str, Found]]:
    return {one.language: one.found for one in measured if one.task == task}


def _met(workspace: Workspace, measured: Sequence[Measured]) -> tuple[contamination.Overlap, ...]:
    """Return which questions stand in the rows that were trained on."""
    asked = {
        (one.task, one.language): one.items
        for one in measured
        if one.rules.metric != "bits_per_byte"
    }
    return contamination.met_in_training(workspace, asked)


def _with(results: Results, beside: Sequence[Any]) -> Results:
    """Return the results with those that tasks made themselves."""
    if not beside:
        return results
    return replace(
        results,
        scores=(*results.scores, *(score for one in beside for score in one.scores)),
        averages=(*results.averages, *(s for one in beside for s in getattr(one, "averages", ()))),
        differences=(*results.differences, *(found for one in beside for found in one.differences)),
        notes=(*results.notes, *(note for one in beside for note in one.notes)),
    )


# -- what there is before ---------------------------------------------------------------------


def folders(workspace: Workspace, names: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each adapter by the name that results call it.

    Raises AdapterError for one that is not there, ConfigError for two of one name.
    """
    found: dict[str, Path] = {}
    for told in names:
        folder = workspace.adapter(told)
        name = folder.name if Path(told).name != told else told
        if name == BASE or found.get(name, folder) != folder:
            raise ConfigError(
                f"two models would be called {name}", "give the folder of one another name"
            )
        if not folder.is_dir():
            raise AdapterError(
                f"there is no adapter {name} in {folder.parent}", "run bactrian train first"
            )
        found[name] = folder
    return found


def _adapters(workspace: Workspace, adapters: Mapping[str, Path]) -> list[list[str]]:
    """Return name and hash of each adapter.

    Raises AdapterError for one of another prompt style where something is asked in the prompt of
    training.
    """
    recipe = workspace.recipe
    told_prompt = prompts.told(recipe.train.prompt, workspace.recipe_folder)
    as_trained = recipe.eval.samples or {HeldOut.name, Confusion.name} & set(recipe.eval.tasks)
    known: list[list[str]] = []
    for name, folder in adapters.items():
        facts = facts_of(folder)
        known.append([name, adapter_hash(folder)])
        if as_trained and facts and (trained := prompts.told_by(facts)) != told_prompt:
            raise AdapterError(
                f"{folder} was trained with the prompt style {trained.mark}, "
                f"the recipe says {told_prompt.mark}",
                f'set train.prompt = "{facts.prompt}"'
                if trained.template is None
                else f"its words are in {folder / 'bactrian.json'}: put them into a TOML file",
            )
    return known


def _data_folders(workspace: Workspace) -> None:
    for told in workspace.recipe.eval.data.values():
        folder = workspace.given(told)
        if told != HUB and not folder.is_dir():
            raise DataError(f"{folder} does not exist", "mend [eval.data] in the recipe")


def _made_from(
    workspace: Workspace,
    adapters: Mapping[str, Path],
    asked: Sequence[Asked] = (),
    served: Scorers | None = None,
) -> str:
    """Return the hash of everything the results follow from: the items, not the files' names."""
    recipe = workspace.recipe
    told_prompt = prompts.told(recipe.train.prompt, workspace.recipe_folder)
    told = [recipe.eval.model_dump(mode="json"), recipe.limit, recipe.languages]
    train = recipe.train
    computed = (
        list(served.keys.values())
        if served
        else [place_of(recipe).fingerprint, train.dtype, train.quantize]
    )
    rows: list[object] = []
    splits = ("validation", "train") if recipe.eval.contamination else ("validation",)
    for language in workspace.languages:
        for split in splits:
            found = table.info(workspace.split(language.code, split))
            rows.append([language.code, split, found.content if found else ""])
    questions = [[one.task, one.language, one.content] for one in asked]
    # what is no item, such as the data of lm-eval's generation tasks
    files = [task.content() for task in tasks(workspace) if hasattr(task, "content")]
    return table.hash_of(
        "results",
        3,
        __version__,
        _adapters(workspace, adapters),
        told,
        told_prompt.mark,
        recipe.seed,
        rows,
        questions,
        files,
        computed,
    )
