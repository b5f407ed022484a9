"""Trains one adapter: data in, a verified PEFT folder out; goes on from where it was killed."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.events import emit
from bactrian.files import locked
from bactrian.languages import Language
from bactrian.models import prompts
from bactrian.models.adapters import (
    AdapterFacts,
    Verified,
    check_name,
    facts_of,
    save,
    verify,
)
from bactrian.models.base import Base, Location, load, locate, tokenizer_of
from bactrian.models.disk import writing
from bactrian.recipe import Recipe
from bactrian.schema import Example
from bactrian.train.card import card
from bactrian.train.lora import with_lora
from bactrian.train.plan import Plan, Shape, plan
from bactrian.train.prepare import Prepared, prepare
from bactrian.workspace import Workspace

UNSEEN = {"adapters", "log_steps", "save_steps", "eval_steps", "eval_rows"}
"""Settings that leave the adapter as it is."""


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter that is in order."""

    name: str
    folder: Path
    facts: AdapterFacts
    verified: Verified
    fresh: bool
    """False where a finished adapter was found and nothing had to be done."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a training would do."""

    name: str
    languages: tuple[str, ...]
    rows: int
    too_long: dict[str, int]
    steps: int
    tokens: int
    padding: float


def train(workspace: Workspace, name: str, base: Callable[[], Base] | None = None) -> Trained:
    """Train the adapter ``name`` of the recipe, or recognise that it is there already.

    ``base`` gives the loaded base where several verbs share one; it is called only if there is
    something to train, and the model is as it was afterwards.
    """
    recipe, languages = workspace.recipe, languages_of(workspace, name)
    where = locate(recipe.train.base, network=recipe.network)
    made_from = made_from_of(workspace, name, where)
    folder = workspace.adapter(name)
    if folder.is_dir() and (facts := facts_of(folder)) and facts.made_from == made_from:
        return Trained(name, folder, facts, verify(folder), fresh=False)
    with locked(folder.parent):
        loaded = base() if base else load(recipe.train.base, network=recipe.network)
        facts, verified = _train(workspace, name, languages, loaded, made_from)
    emit("made", path=str(folder), tensors=verified.tensors)
    return Trained(name, folder, facts, verified, fresh=True)


def forecast(workspace: Workspace, name: str) -> Forecast:
    """Return steps, tokens and rows of a training; loads the tokenizer, not the weights."""
    recipe = workspace.recipe
    where = locate(recipe.train.base, network=recipe.network)
    languages = languages_of(workspace, name)
    prepared = _prepared(workspace, languages, tokenizer_of(where))
    planned = plan(prepared.lengths, _shape(recipe))
    return Forecast(
        name,
        tuple(language.code for language in languages),
        len(prepared),
        dict(prepared.too_long),
        planned.steps,
        planned.useful_tokens,
        planned.padding,
    )


def languages_of(workspace: Workspace, name: str) -> tuple[Language, ...]:
    """Return the languages of one adapter of the recipe."""
    told = workspace.adapters()
    if name not in told:
        raise ConfigError(f"the recipe has no adapter {name}", did_you_mean(name, told))
    check_name(name)
    return told[name]


def made_from_of(workspace: Workspace, name: str, where: Location) -> str:
    """Return the hash of everything the adapter follows from.

    Raises DataError where a language has no training rows.
    """
    recipe = workspace.recipe
    told = recipe.train.model_dump(mode="json", exclude=UNSEEN)
    data = []
    for language in languages_of(workspace, name):
        path = workspace.split(language.code, "train")
        found = table.info(path)
        if found is None or not found.rows:
            raise DataError(
                f"{path} {'has no rows' if found else 'does not exist'}",
                f"run bactrian build on this folder with {language.code} among its languages",
            )
        data.append([language.code, found.content])
    return table.hash_of("adapter", 1, told, recipe.seed, recipe.limit, data, where.fingerprint)


@dataclass(frozen=True, slots=True)
class _Job:
    """One training: what is trained on what, in which order, and where it keeps checkpoints."""

    name: str
    recipe: Recipe
    base: Base
    prepared: Prepared
    plan: Plan
    scratch: Path
    held_out: Prepared | None
    """Rows whose loss is measured on the way; None where there are none."""


def _train(
    workspace: Workspace,
    name: str,
    languages: tuple[Language, ...],
    base: Base,
    made_from: str,
) -> tuple[AdapterFacts, Verified]:
    from transformers import set_seed

    recipe, folder = workspace.recipe, workspace.adapter(name)
    prepared = _prepared(workspace, languages, base.tokenizer)
    planned = plan(prepared.lengths, _shape(recipe))
    _tell(name, prepared, planned)
    scratch = folder.with_name(f".{name}.training") / made_from
    for stale in scratch.parent.glob("*"):
        if stale.name != made_from:
            emit("decision", text=f"{name}: an unfinished training of another recipe is dropped")
            shutil.rmtree(stale)
    started = time.monotonic()
    set_seed(recipe.seed)  # the first values of lora_A follow from it
    with with_lora(base.model, recipe.train.lora) as model:
        held_out = _held_out(workspace, languages, base.tokenizer)
        history = _run(_Job(name, recipe, base, prepared, planned, scratch, held_out), model)
        facts = AdapterFacts(
            name=name,
            languages=tuple(language.code for language in languages),
            prompt=recipe.train.prompt,
            base=base.id,
            base_revision=base.location.revision,
            base_fingerprint=base.location.fingerprint,
            made_from=made_from,
            steps=planned.steps,
            tokens=planned.useful_tokens,
            seconds=round(time.monotonic() - started, 1),
            losses=_last_losses(history, prepared.names),
        )
        style = prompts.get(recipe.train.prompt, base.tokenizer)
        beside = {
            "README.md": card(facts, recipe, languages, style),
            "training.json": json.dumps(history, indent=1, sort_keys=True) + "\n",
        }
        verified = save(model, folder, base, facts, beside)
    shutil.rmtree(scratch.parent, ignore_errors=True)
    return facts, verified


def _run(job: _Job, model: Any) -> list[dict[str, float]]:
    """Run the Trainer, from the last whole checkpoint where there is one."""
    from transformers import PrinterCallback, ProgressCallback

    from bactrian.models.head import split
    from bactrian.train.trainer import WHOLE, ResponseTrainer, Watch, last_whole_checkpoint
    from bactrian.train.validate import Validation

    trainer = ResponseTrainer(
        model=model,
        args=_arguments(job),
        parts=split(model),
        prepared=job.prepared,
        plan=job.plan,
    )
    trainer.add_callback(Watch(f"train {job.name}", trainer.tally))
    if job.held_out is not None:
        every, budget = job.recipe.train.eval_steps, job.recipe.train.micro_batch_tokens
        trainer.add_callback(Validation(trainer.parts, job.held_out, every, budget))
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    checkpoint = last_whole_checkpoint(job.scratch)
    if checkpoint is not None:
        emit("decision", text=f"{job.name}: going on from {checkpoint.name}")
        trainer.tally.read(checkpoint / WHOLE)
    with writing(job.scratch):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return [entry for entry in trainer.state.log_history if "train_runtime" not in entry]


def _arguments(job: _Job) -> Any:
    from transformers import TrainingArguments

    train = job.recipe.train
    return TrainingArguments(
        output_dir=str(job.scratch),
        use_cpu=job.base.device == "cpu",
        num_train_epochs=1,  # the plan holds all epochs
        per_device_train_batch_size=1,
        gradient_accumulation_steps=job.plan.accumulate,
        learning_rate=train.learning_rate,
        # the first step of a warm-up has rate zero: a single step would learn nothing
        warmup_steps=min(math.ceil(train.warmup * job.plan.steps), job.plan.steps - 1),
        lr_scheduler_type="linear",
        weight_decay=0.0,
        logging_steps=train.log_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=train.save_steps,
        save_total_limit=2,
        seed=job.recipe.seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _prepared(workspace: Workspace, languages: tuple[Language, ...], tokenizer: Any) -> Prepared:
    train = workspace.recipe.train
    style = prompts.get(train.prompt, tokenizer)
    rows = _examples(workspace, languages, "train", workspace.recipe.limit)
    prepared = prepare(rows, tokenizer, style, train.max_tokens)
    for code in (language.code for language in languages):
        if code not in prepared.names:
            long, empty = prepared.too_long.get(code, 0), prepared.empty.get(code, 0)
            raise DataError(
                f"no row in {code} is left to train on ({long} longer than {train.max_tokens} "
                f"tokens, {empty} without a response)",
                "raise train.max_tokens, or leave the language out of the adapter",
            )
    return prepared


def _held_out(
    workspace: Workspace, languages: tuple[Language, ...], tokenizer: Any
) -> Prepared | None:
    train = workspace.recipe.train
    rows = list(_examples(workspace, languages, "validation", train.eval_rows))
    style = prompts.get(train.prompt, tokenizer)
    try:
        return prepare(rows, tokenizer, style, train.max_tokens) if rows else None
    except DataError:
        return None  # all of them are longer than what is trained on


def _examples(
    workspace: Workspace, languages: tuple[Language, ...], split: str, limit: int
) -> Iterator[Example]:
    for language in languages:
        path = workspace.split(language.code, split)
        if split == "validation" and (limit == 0 or not path.is_file()):
            continue
        for row in islice(table.read(path), limit or None):
            yield replace(row.example, language=language.code)


def _shape(recipe: Recipe) -> Shape:
    train = recipe.train
    return Shape(
        train.epochs, train.max_steps, train.batch_tokens, train.micro_batch_tokens, recipe.seed
    )


def _tell(name: str, prepared: Prepared, planned: Plan) -> None:
    emit(
        "note",
        text=f"{name}: {len(prepared)} rows, {planned.steps} steps, {planned.useful_tokens} tokens"
        f" ({planned.padding:.0%} padding)",
    )
    for language, count in prepared.too_long.items():
        emit("warning", text=f"{name}: {count} rows in {language} are too long and left out")
    for language, count in prepared.empty.items():
        emit("warning", text=f"{name}: {count} rows in {language} have no response, left out")


def _last_losses(history: list[dict[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """Return the last reported loss of each language."""
    found: dict[str, float] = {}
    for entry in history:
        found |= {name: entry[f"loss_{name}"] for name in names if f"loss_{name}" in entry}
    return found
