"""What the flags mean here: a recipe, and for each flag what became of it.

Knows the flags and the recipe's keys; reads no rows and no models.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bactrian.cli.original.flags import BARE, BY_NAME, IDLE, Given, truth
from bactrian.cli.original.places import Places, places
from bactrian.cli.original.template import Style, style
from bactrian.errors import ConfigError
from bactrian.train.processes import processes

if TYPE_CHECKING:
    from bactrian.recipe import Recipe

CALLED = "these flags"
WORK = "work"
"""Folder in --output_dir for the recipe, the dataset, checkpoints and runs."""
PLAIN = {
    "num_epochs": "train.epochs",
    "learning_rate": "train.learning_rate",
    "cutoff_len": "train.max_tokens",
    "source_max_length": "train.max_source_tokens",
    "train_on_inputs": "train.train_on_inputs",
    "weight_decay": "train.weight_decay",
    "max_grad_norm": "train.clip",
    "gradient_checkpointing": "train.checkpointing",
    "logging_steps": "train.log_steps",
    "eval_steps": "train.eval_steps",
    "save_steps": "train.save_steps",
    "lora_r": "train.lora.rank",
    "lora_alpha": "train.lora.alpha",
    "lora_dropout": "train.lora.dropout",
    "val_set_size": "build.validation",
    "seed": "seed",
}
"""Flags that are a key of the recipe, value and all."""
SCHEDULES = {"constant_with_warmup": "constant"}
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_hf")


@dataclass(frozen=True, slots=True)
class Setting:
    """What became of a flag: a key of the recipe with its value, or none and the reason."""

    flag: str
    key: str = ""
    value: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that a command line says, resolved."""

    recipe: Recipe
    settings: tuple[Setting, ...]
    places: Places
    style: Style
    output: Path
    environment: dict[str, str]
    """What Weights & Biases reads from the environment."""

    @property
    def work(self) -> Path:
        """The workspace of the recipe."""
        return self.output / WORK


def resolve(given: Given) -> Told:
    """Return the recipe that the flags fill, and what became of each of them.

    Raises ConfigError and DataError for what cannot be meant, naming the flag.
    """
    if not given["base_model"]:
        raise ConfigError("--base_model is missing", "name one: --base_model huggyllama/llama-7b")
    output = Path(given["output_dir"]).expanduser()
    found = places(given["data_path"], given["lang"])
    prompt = style(
        given["prompt_template_name"],
        given["template_dir"],
        folder_named="template_dir" in given,
    )
    settings = tuple(_settings(given, found, prompt, output))
    values = {**_nested(settings), "sources": found.sources}
    recipe = _one_adapter(_recipe(values, tuple(given["set"] or ())))
    return Told(recipe, settings, found, prompt, output, _environment(given))


def name_of(output: Path) -> str:
    """Return what the adapter is called: the folder's name, as PEFT can take it."""
    name = re.sub(r"[^\w-]+", "-", output.absolute().name).strip("-")
    return f"{name}-adapter" if name in ("", "base") else name


def _settings(given: Given, found: Places, prompt: Style, output: Path) -> Iterator[Setting]:
    name, languages = name_of(output), ",".join(found.languages)
    yield Setting("output_dir", "name", name, f"the adapter is {output}, all else {output / WORK}")
    yield from _base(given, found)
    yield Setting("data_path", "sources", "…", found.rule)
    for note in found.notes:
        yield Setting("data_path", why=note)
    told = "lang" if "lang" in given else "data_path"
    yield Setting(told, "languages", languages)
    yield Setting(told, f"train.adapters.{name}", languages)
    yield Setting("data_path", "check.names", ["empty"], "the original looked at no row")
    yield Setting("prompt_template_name", "train.prompt", prompt.prompt, prompt.why)
    if "template_dir" in given:
        yield Setting("template_dir", why=f"looked into for {given['prompt_template_name']}")
    for flag, key in PLAIN.items():
        if given[flag] is not None:
            yield Setting(flag, key, given[flag])
    if "lora_target_modules" in given or not _all_weights(given):
        yield Setting("lora_target_modules", "train.lora.targets", _targets(given))
    for part in (_batch, _rate, _numbers, _measuring, _loggers, _resume):
        yield from part(given)
    yield Setting("val_set_size", "train.eval_rows", _eval_rows(given, found), "of each language")
    yield from (Setting(flag, why=IDLE[flag]) for flag in given.idle)


def _base(given: Given, found: Places) -> Iterator[Setting]:
    from bactrian.models.base import SMOLLM2

    base = str(given["base_model"])
    path = Path(base).expanduser()
    here = path.exists() or base == SMOLLM2
    yield Setting("base_model", "train.base", str(path.absolute()) if path.exists() else base)
    asked = [what for what, far in (("the base", not here), ("the data", found.hub)) if far]
    if asked:
        yield Setting("base_model", "network", True, f"{' and '.join(asked)} may be on the Hub")


def _targets(given: Given) -> list[str]:
    """Return the modules; brackets are those of alpaca-lora's '[q_proj,v_proj]'."""
    words = re.split(r"[,\s]+", str(given["lora_target_modules"]).strip("[]() "))
    return [name for name in (word.strip("'\"") for word in words) if name]


def _all_weights(given: Given) -> bool:
    """Whether --set trains the base itself, to which the original's usual targets mean nothing."""
    told = (override.partition("=") for override in given["set"] or ())
    return any(key.strip() == "train.adapter" and "none" in value for key, _, value in told)


def _batch(given: Given) -> Iterator[Setting]:
    micro = int(given["micro_batch_size"])
    rows, flag, why = given["batch_size"], "batch_size", ""
    if "batch_size" not in given and "gradient_accumulation_steps" in given:
        world = processes().world
        times = given["gradient_accumulation_steps"]
        rows, flag = micro * times * world, "gradient_accumulation_steps"
        why = f"{micro} rows x {times} x {world} processes"
    elif "gradient_accumulation_steps" in given:
        yield Setting("gradient_accumulation_steps", why="follows from --batch_size")
    yield Setting(flag, "train.batch_rows", rows, why)
    tokens = int(given["cutoff_len"]) + int(given["source_max_length"] or 0)
    yield Setting(
        "micro_batch_size",
        "train.micro_batch_tokens",
        micro * tokens,
        f"{micro} rows of {tokens} tokens; more where rows are shorter",
    )


def _rate(given: Given) -> Iterator[Setting]:
    steps, ratio = given["warmup_steps"], given["warmup_ratio"]
    if "warmup_steps" in given or ratio is None:
        yield Setting("warmup_steps", "train.warmup_steps", steps)
        if not steps:
            yield Setting("warmup_steps", "train.warmup", 0.0)
    else:
        yield Setting("warmup_ratio", "train.warmup", ratio)
    if given["max_steps"] is not None:
        yield Setting("max_steps", "train.max_steps", max(0, given["max_steps"]))
    if (schedule := given["lr_scheduler_type"]) is not None:
        yield Setting("lr_scheduler_type", "train.schedule", SCHEDULES.get(schedule, schedule))
    if (optimizer := given["optim"]) is not None:
        if optimizer not in OPTIMIZERS:
            raise ConfigError(f"--optim {optimizer} is not here", "AdamW trains: leave it out")
        yield Setting("optim", why="AdamW trains")


def _numbers(given: Given) -> Iterator[Setting]:
    """How the base is kept and computed in; the original had it in 8 bits and float16."""
    both = [name for name in ("fp16", "bf16") if given[name]]
    bits = [name for name in ("load_in_8bit", "load_in_4bit") if given[name]]
    for pair in (both, bits):
        if len(pair) > 1:
            raise ConfigError(f"--{pair[0]} and --{pair[1]} cannot both be", "choose one")
    for flag, dtype in (("fp16", "float16"), ("bf16", "bfloat16")):
        if flag in given:
            why = "" if given[flag] else "chosen by the device"
            if given[flag] or not both:
                yield Setting(flag, "train.dtype", dtype if given[flag] else "auto", why)
    for flag, kind in (("load_in_8bit", "int8"), ("load_in_4bit", "nf4")):
        if flag in given and (given[flag] or not bits):
            yield Setting(flag, "train.quantize", kind if given[flag] else "none")
    if given["fsdp"]:
        yield Setting("fsdp", "train.fsdp", str(given["fsdp"]).casefold() not in ("false", "no"))


def _measuring(given: Given) -> Iterator[Setting]:
    if (when := given["eval_strategy"]) in ("steps", "no", None):
        if when:
            why = "never" if when == "no" else "every --eval_steps steps"
            yield Setting("eval_strategy", why=f"held-out rows are measured {why}")
        return
    raise ConfigError(
        f"--eval_strategy {when} is not here", "held-out rows are measured by steps: --eval_steps N"
    )


def _eval_rows(given: Given, found: Places) -> int:
    """Return rows a language so that they are together as many as the original measured."""
    if given["eval_strategy"] == "no":
        return 0
    return math.ceil(max(0, int(given["val_set_size"])) / len(found.languages))


def _loggers(given: Given) -> Iterator[Setting]:
    told = [part for word in given["report_to"] or () for part in re.split(r"[,\s]+", word) if part]
    names = [name for name in told if name != "none"]
    if told:
        yield Setting("report_to", "train.loggers", names)
    if "wandb" not in names and (given["use_wandb"] or _wandb_named(given)):
        flag = "use_wandb" if given["use_wandb"] else "wandb_project"
        yield Setting(flag, "train.loggers", [*names, "wandb"])


def _wandb_named(given: Given) -> bool:
    """Whether a project or run is named and nothing says that there is to be none (alpaca-lora)."""
    named = given["wandb_project"] or given["wandb_run_name"]
    return bool(named) and given["use_wandb"] is None and given["report_to"] is None


def _environment(given: Given) -> dict[str, str]:
    names = {
        "wandb_project": "WANDB_PROJECT",
        "wandb_run_name": "WANDB_NAME",
        "wandb_watch": "WANDB_WATCH",
        "wandb_log_model": "WANDB_LOG_MODEL",
    }
    told = {variable: given[flag] for flag, variable in names.items() if given[flag]}
    return told if not given["use_wandb"] else {"WANDB_PROJECT": "bactrian", **told}


def _resume(given: Given) -> Iterator[Setting]:
    told = given["resume_from_checkpoint"]
    if told is None:
        return
    try:
        truth(told)
    except ArgumentTypeError:
        if told != BARE:
            raise ConfigError(
                f"--resume_from_checkpoint {told} names a checkpoint, and only those of this very "
                "command can be gone on from",
                f"leave it out: the same command goes on from its last one in --output_dir/{WORK}",
            ) from None
    yield Setting("resume_from_checkpoint", why="the same command goes on by itself")


def _nested(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the recipe's values as TOML has them."""
    values: dict[str, Any] = {}
    for setting in settings:
        if not setting.key or setting.key == "sources":
            continue
        *path, last = setting.key.split(".")
        section = values
        for part in path:
            section = section.setdefault(part, {})
        section[last] = setting.value
    return values


def _recipe(values: dict[str, Any], overrides: tuple[str, ...]) -> Recipe:
    """Return the recipe; a value that it refuses is said by its flag."""
    from bactrian.recipe import of_values

    try:
        return of_values(values, CALLED, overrides)
    except ConfigError as error:
        problem = error.problem
        for flag, key in PLAIN.items():
            problem = problem.replace(f"{CALLED}: {key} = ", f"--{flag} ")
        raise ConfigError(problem, error.hint) from None


def _one_adapter(recipe: Recipe) -> Recipe:
    """Return the recipe; raises ConfigError where --set made several adapters of it."""
    if len(recipe.train.adapters) != 1:
        raise ConfigError(
            f"--set names {len(recipe.train.adapters)} adapters, and one lands in --output_dir",
            f"train several from the recipe: bactrian train OUTPUT_DIR/{WORK}",
        )
    return recipe


def typed(given: Given, setting: Setting) -> str:
    """Return a flag as it was typed, or as the original had it by default."""
    flag = BY_NAME.get(setting.flag)
    if flag is None or flag.bare is True:
        told = given[setting.flag] if flag else True
        return f"--{setting.flag}" + ("" if told else " False")
    value = given[setting.flag]
    shown = " ".join(value) if isinstance(value, list) else str(value)
    return f"--{setting.flag} {shown}".rstrip()
