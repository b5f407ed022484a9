"""Trains one adapter: data in, a verified PEFT folder out; goes on from where it was killed."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
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
from bactrian.models.adapters import AdapterFacts, Verified, facts_of, save, verify
from bactrian.models.base import Base, Location, load, locate, quiet
from bactrian.recipe import Recipe
from bactrian.schema import Example
from bactrian.train.card import card
from bactrian.train.plan import Plan, Shape, plan
from bactrian.train.prepare import Prepared, prepare
from bactrian.workspace import Workspace


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


def train(workspace: Workspace, name: str, base: Base | None = None) -> Trained:
    """Train the adapter ``name`` of the recipe, or recognise that it is there already.

    ``base`` may be given where it is loaded already and may be changed (PEFT's layers go in).
    """
    recipe, languages = workspace.recipe, languages_of(workspace, name)
    where = locate(recipe.train.base, network=recipe.network)
    made_from = made_from_of(workspace, name, where)
    folder = workspace.adapter(name)
    if folder.is_dir() and (facts := facts_of(folder)) and facts.made_from == made_from:
        return Trained(name, folder, facts, verify(folder), fresh=False)
    with locked(folder.parent):
        base = base or load(recipe.train.base, network=recipe.network)
        facts, verified = _train(workspace, name, languages, base, made_from)
    emit("made", path=str(folder), tensors=verified.tensors)
    return Trained(name, folder, facts, verified, fresh=True)


def forecast(workspace: Workspace, name: str) -> Forecast:
    """Return steps, tokens and rows of a training; loads the tokenizer, not the weights."""
    from transformers import AutoTokenizer

    recipe = workspace.recipe
    where = locate(recipe.train.base, network=recipe.network)
    quiet()
    tokenizer = AutoTokenizer.from_pretrained(where.folder)
    languages = languages_of(workspace, name)
    prepared = _prepared(workspace, languages, tokenizer)
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
    return told[name]


def made_from_of(workspace: Workspace, name: str, where: Location) -> str:
    """Return the hash of everything the adapter follows from.

    Raises DataError where a language has no training rows.
    """
    recipe = workspace.recipe
    told = recipe.train.model_dump(mode="json", exclude={"adapters", "log_steps", "save_steps"})
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


def _train(
    workspace: Workspace,
    name: str,
    languages: tuple[Language, ...],
    base: Base,
    made_from: str,
) -> tuple[AdapterFacts, Verified]:
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
    model, history = _run(recipe, base, prepared, planned, scratch, name)
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
        "training.json": json.dumps(history, indent=1) + "\n",
    }
    verified = save(model, folder, base, facts, beside)
    model.unload()  # the base is as it was, for the next adapter
    shutil.rmtree(scratch.parent, ignore_errors=True)
    return facts, verified


def _run(
    recipe: Recipe, base: Base, prepared: Prepared, planned: Plan, scratch: Path, name: str
) -> tuple[Any, list[dict[str, float]]]:
    """Run the Trainer, from the last whole checkpoint where there is one."""
    from transformers import PrinterCallback, ProgressCallback, set_seed

    from bactrian.models.head import split
    from bactrian.train.trainer import ResponseTrainer, Watch, last_whole_checkpoint

    set_seed(recipe.seed)
    model = _with_lora(base, recipe)
    trainer = ResponseTrainer(
        model=model,
        args=_arguments(recipe, planned, scratch, base),
        parts=split(model),
        prepared=prepared,
        plan=planned,
        callbacks=[Watch(f"train {name}")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    checkpoint = last_whole_checkpoint(scratch)
    if checkpoint is not None:
        emit("decision", text=f"{name}: going on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in history):
        raise ConfigError(
            f"{name}: the loss is not a number any more",
            "lower train.learning_rate, or train in float32",
        )
    return model, history


def _with_lora(base: Base, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = recipe.train.lora
    targets = list(lora.targets) or attention_projections(base.model)
    try:
        return get_peft_model(
            base.model,
            LoraConfig(
                task_type="CAUSAL_LM",
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=targets,
            ),
        )
    except ValueError as error:
        raise ConfigError(f"train.lora.targets {targets}: {error}", "see docs/train.md") from None


def attention_projections(model: Any) -> list[str]:
    """Return the names of the attention's linear layers, as the original chose them.

    LLaMA-like q_proj, k_proj, v_proj, o_proj; BLOOM query_key_value (Bactrian-X, scripts/).
    """
    import torch

    known = ("q_proj", "k_proj", "v_proj", "o_proj", "query_key_value", "c_attn", "qkv_proj")
    linear = {
        path.rpartition(".")[2]
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    found = [name for name in known if name in linear]
    if not found:
        raise ConfigError(
            f"{type(model).__name__}: no attention projections of a known name",
            f"name train.lora.targets; linear layers are {', '.join(sorted(linear))}",
        )
    return found


def _arguments(recipe: Recipe, planned: Plan, scratch: Path, base: Base) -> Any:
    from transformers import TrainingArguments

    train = recipe.train
    return TrainingArguments(
        output_dir=str(scratch),
        use_cpu=base.device == "cpu",
        num_train_epochs=1,  # the plan holds all epochs
        per_device_train_batch_size=1,
        gradient_accumulation_steps=planned.accumulate,
        learning_rate=train.learning_rate,
        warmup_steps=math.ceil(train.warmup * planned.steps),
        lr_scheduler_type="linear",
        weight_decay=0.0,
        logging_steps=train.log_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=train.save_steps,
        save_total_limit=2,
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _prepared(workspace: Workspace, languages: tuple[Language, ...], tokenizer: Any) -> Prepared:
    train = workspace.recipe.train
    style = prompts.get(train.prompt, tokenizer)
    return prepare(_examples(workspace, languages), tokenizer, style, train.max_tokens)


def _examples(workspace: Workspace, languages: tuple[Language, ...]) -> Iterator[Example]:
    for language in languages:
        rows = table.read(workspace.split(language.code, "train"))
        for row in islice(rows, workspace.recipe.limit or None):
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


def _last_losses(history: list[dict[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """Return the last reported loss of each language."""
    found: dict[str, float] = {}
    for entry in history:
        found |= {name: entry[f"loss_{name}"] for name in names if f"loss_{name}" in entry}
    return found
