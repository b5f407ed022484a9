"""Trains the adapters of a workspace: data in, a verified folder out.

Finished adapters are recognised, killed trainings go on from where they were, and what differs is
said. Under torchrun every process comes through here; the first one speaks and writes.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bactrian.errors import ConfigError, did_you_mean
from bactrian.events import emit
from bactrian.files import locked
from bactrian.languages import Language
from bactrian.models import prompts
from bactrian.models.adapters import AdapterFacts, Verified, check_name, facts_of, save, verify
from bactrian.models.base import Base, Location, of, place_of
from bactrian.models.disk import writing
from bactrian.table import hash_of
from bactrian.train import unfinished
from bactrian.train.card import Made, card
from bactrian.train.data import content_of
from bactrian.train.history import HELD_OUT, courses
from bactrian.train.processes import Processes, all_or_none, join, processes, wait
from bactrian.train.settings import refuse
from bactrian.workspace import Workspace

if TYPE_CHECKING:
    from bactrian.train.assemble import Assembled
    from bactrian.train.engine import Outcome

UNSEEN = {
    "adapters",
    "together",
    "base",
    "revision",
    "micro_batch_tokens",
    "packing",
    "checkpointing",
    "fsdp",
    "loggers",
    "log_steps",
    "save_steps",
}
"""Settings that leave the adapter as it is, or are told in another way."""
ONLY_WATCHED = {"eval_steps", "eval_rows", "stop_on"}
"""Settings that leave it as it is where nothing is stopped for them."""


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter, or a whole model, that is in order."""

    name: str
    folder: Path
    facts: AdapterFacts
    verified: Verified
    fresh: bool
    """False where a finished adapter was found and nothing had to be done."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An adapter to train, and everything it follows from."""

    name: str
    languages: tuple[Language, ...]
    folder: Path
    told: dict[str, Any]
    made_from: str
    """Hash of ``told``: the same hash means the same adapter."""


def train(workspace: Workspace, name: str, base: Callable[[], Base] | None = None) -> Trained:
    """Train the adapter ``name`` of the recipe, or recognise that it is there already.

    ``base`` gives the loaded base where several verbs share one; it is called only if there is
    something to train, and the model is as it was afterwards.
    """
    (trained,) = train_several(workspace, [name], base)
    return trained


def train_several(
    workspace: Workspace, names: Sequence[str], base: Callable[[], Base] | None = None
) -> list[Trained]:
    """Train the adapters in one pass over the base, each as if it were alone."""
    refuse(workspace.recipe.train, len(names), processes())
    where = place_of(workspace.recipe)
    wanted = [wanted_of(workspace, name, where) for name in dict.fromkeys(names)]
    missing = [one for one in wanted if _finished(one) is None]
    # in one order whatever the names': a checkpoint keeps the optimizer's values by their place
    missing.sort(key=lambda one: one.name)
    if missing:
        several = join()
        alone = locked(missing[0].folder.parent) if several.main else nullcontext()
        whole = workspace.recipe.train.adapter == "none"  # changes the base that others share
        with alone, all_or_none(several):
            loaded = base() if base and not whole else of(workspace.recipe)
            _train(workspace, missing, loaded, several)
    fresh = {one.name for one in missing}
    found = []
    for one in wanted:
        done = _finished(one)
        assert done is not None
        found.append(replace(done, fresh=one.name in fresh))
    return found


def languages_of(workspace: Workspace, name: str) -> tuple[Language, ...]:
    """Return the languages of one adapter of the recipe."""
    told = workspace.adapters()
    if name not in told:
        raise ConfigError(f"the recipe has no adapter {name}", did_you_mean(name, told))
    check_name(name)
    return told[name]


def wanted_of(workspace: Workspace, name: str, where: Location) -> Wanted:
    """Return what an adapter follows from; raises DataError for a language without rows."""
    recipe, languages = workspace.recipe, languages_of(workspace, name)
    style = prompts.told(recipe.train.prompt, workspace.recipe_folder)
    unseen = UNSEEN if recipe.train.patience else UNSEEN | ONLY_WATCHED
    told = {
        "train": recipe.train.model_dump(mode="json", exclude=unseen) | {"prompt": style.mark},
        "seed": recipe.seed,
        "limit": recipe.limit,
        "rows": {one.code: content_of(workspace, one) for one in languages},
        "base": where.fingerprint,
    }
    whole = recipe.train.adapter == "none"
    folder = workspace.model(name) if whole else workspace.adapter(name)
    return Wanted(name, languages, folder, told, hash_of("adapter", 2, told))


def _finished(wanted: Wanted) -> Trained | None:
    """Return what is there already, where it follows from the very same."""
    folder = wanted.folder
    facts = facts_of(folder) if folder.is_dir() else None
    if facts is None or facts.made_from != wanted.made_from:
        return None
    found = _weighed(folder) if (folder / "config.json").is_file() else verify(folder)
    return Trained(wanted.name, folder, facts, found, fresh=False)


def _weighed(folder: Path) -> Verified:
    """Count what is in the files of a whole model; they were verified when they were written."""
    from safetensors import safe_open

    tensors = parameters = size = 0
    for path in folder.glob("*.safetensors"):
        size += path.stat().st_size
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        tensors += len(shapes)
        parameters += sum(math.prod(shape) for shape in shapes)
    return Verified(tensors, parameters, size)


def _train(workspace: Workspace, wanted: Sequence[Wanted], base: Base, several: Processes) -> None:
    from bactrian.train.assemble import assemble, tell_of
    from bactrian.train.engine import learn, made_ready

    recipe, began = workspace.recipe, time.monotonic()
    scratch = _scratch(wanted)
    names = [one.name for one in wanted]
    with made_ready(base, recipe.train, names, recipe.seed) as ready, writing(scratch):
        made = assemble(workspace, wanted, base, ready, several)
        if several.main:
            _look_around(wanted, scratch)
            tell_of(made)
        with unfinished.tidied(scratch) if several.main else nullcontext():
            outcomes = learn(ready, base, recipe, made, scratch)
        if several.main:
            for one, outcome in zip(wanted, outcomes, strict=True):
                seconds = round(time.monotonic() - began, 1)
                facts = _facts(workspace, one, base, outcome, seconds)
                _keep(workspace, (one, facts), base, outcome, made)
            shutil.rmtree(scratch.parent, ignore_errors=True)
    wait(several)


def _look_around(wanted: Sequence[Wanted], scratch: Path) -> None:
    """Say which trainings were begun otherwise, and write down what this one is told."""
    told = {one.name: one.told for one in wanted}
    for sentence in unfinished.others(scratch, told):
        emit("warning", text=f"{wanted[0].name}: {sentence}")
    unfinished.note(scratch, told)


def _scratch(wanted: Sequence[Wanted]) -> Path:
    """Return where checkpoints are kept: by name, and by all that the training follows from."""
    folder, made_from = wanted[0].folder, wanted[0].made_from
    if len(wanted) == 1:
        return folder.with_name(f".{folder.name}.training") / made_from
    names = hash_of([one.name for one in wanted])
    all_of_them = hash_of([one.made_from for one in wanted])
    return folder.with_name(f".together-{names}.training") / all_of_them


def _facts(
    workspace: Workspace, wanted: Wanted, base: Base, outcome: Outcome, seconds: float
) -> AdapterFacts:
    style = prompts.told(workspace.recipe.train.prompt, workspace.recipe_folder)
    return AdapterFacts(
        name=wanted.name,
        languages=tuple(language.code for language in wanted.languages),
        prompt=style.name,
        base=base.id,
        base_revision=base.location.revision,
        base_fingerprint=base.location.fingerprint,
        made_from=wanted.made_from,
        steps=outcome.steps,
        tokens=outcome.tokens,
        seconds=seconds,
        losses=outcome.losses,
        template=style.template,
    )


def _made(
    workspace: Workspace, wanted: Wanted, base: Base, outcome: Outcome, assembled: Assembled
) -> Made:
    """Return what the card tells beside recipe and facts."""
    from bactrian.train import weighing

    train = workspace.recipe.train
    (rows,) = (one.prepared for one in assembled.job.members if one.name == wanted.name)
    return Made(
        weighing.of_base(base)
        if train.adapter == "none"
        else weighing.of_adapter(outcome.savable, train.lora.variant),
        base.precision,
        weighing.learnt(rows, wanted.told["rows"]),
        courses(outcome.history, HELD_OUT, [language.code for language in wanted.languages]),
        base.kind == "encoder-decoder",
        weighing.loadable(base.location),
    )


def _keep(
    workspace: Workspace,
    made: tuple[Wanted, AdapterFacts],
    base: Base,
    outcome: Outcome,
    assembled: Assembled,
) -> None:
    """Write what was trained with its card, verify it, and put it in place."""
    wanted, facts = made
    told = _made(workspace, wanted, base, outcome, assembled)
    beside = {
        "README.md": card(facts, workspace.recipe, wanted.languages, assembled.style, told),
        "training.json": json.dumps(outcome.history, indent=1, sort_keys=True) + "\n",
    }
    if workspace.recipe.train.adapter == "none":
        from bactrian.train import full

        kept = orjson.dumps(asdict(facts), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        beside["bactrian.json"] = kept.decode()
        found = full.save(base, wanted.folder, beside, state=outcome.state)
    else:
        found = save(outcome.savable, wanted.folder, base, facts, beside)
    emit("made", path=str(wanted.folder), tensors=found.tensors)
