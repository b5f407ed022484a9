"""The recipe's [train] section in transformers' words."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, MissingExtra
from bactrian.recipe import Recipe, Train
from bactrian.train.processes import Processes


def arguments(recipe: Recipe, folder: Path, steps: int, device: str, computes_in: str) -> Any:
    """Return TrainingArguments for a training of so many steps that keeps its files in ``folder``.

    ``computes_in`` is what float32 weights are multiplied in; adapters need nothing of the kind.
    """
    from transformers import TrainingArguments

    train = recipe.train
    told = TrainingArguments(
        output_dir=str(folder),
        use_cpu=device == "cpu",
        max_steps=steps,
        num_train_epochs=1,  # the plan holds all epochs
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,  # a batch is a whole step
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        max_grad_norm=train.clip,
        bf16=computes_in == "bfloat16",
        fp16=computes_in == "float16",
        logging_steps=train.log_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=train.save_steps,
        save_total_limit=2,
        seed=recipe.seed,
        report_to=list(train.loggers),
        run_name=os.environ.get("WANDB_NAME") or recipe.name,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ignore_data_skip=True,  # the plan begins where it is told to
        ddp_find_unused_parameters=False,
        **_sharding(recipe),
    )
    if train.fsdp and device == "cpu":
        if train.adapter == "none":  # torch 2.13 ends with a segmentation fault
            raise ConfigError(
                'train.fsdp with adapter = "none" does not work on CPUs',
                "run it on GPUs, or write fsdp = false",
            )
        _spread_over_cpus(told)
    return told


def _spread_over_cpus(told: Any) -> None:
    """Have accelerate spread the weights: over CPUs it does not, and does not say so."""
    from accelerate import DistributedType

    told.distributed_state.distributed_type = DistributedType.MULTI_GPU


def refuse(train: Train, adapters: int, processes: Processes) -> None:
    """Raise ConfigError or MissingExtra for what cannot be done here, before anything is loaded."""
    for logger in train.loggers:
        if find_spec(logger) is None:
            raise MissingExtra(
                f"train.loggers names {logger}, which is not installed",
                f"pip install {logger}, or leave it out: events.jsonl has it all",
            )
    if train.fsdp and processes.world == 1:
        raise ConfigError(
            "train.fsdp spreads the weights over several processes, and there is one",
            "start it with torchrun --nproc-per-node 2 -m bactrian train …, or write fsdp = false",
        )
    if train.fsdp and train.lora.variant == "pissa":
        raise ConfigError(
            'train.lora.variant = "pissa" holds half of each matrix still, and train.fsdp cuts '
            "the matrices up",
            "write fsdp = false, or another variant",
        )
    if adapters > 1:
        _refuse_together(train, processes)


def _refuse_together(train: Train, processes: Processes) -> None:
    """Raise ConfigError for what several adapters cannot have in one pass."""
    if train.adapter == "none":
        raise ConfigError(
            'train.adapter = "none" trains the base itself, of which there is one at a time',
            "train one after the other: together = false",
        )
    if processes.world > 1:
        raise ConfigError(
            "train.together shares one base among adapters in one process, and there are "
            f"{processes.world}",
            "run it without torchrun, or write together = false",
        )
    if train.patience:
        raise ConfigError(
            f"train.patience = {train.patience} stops one training for its own held-out loss, and "
            "train.together has several in one",
            "write patience = 0, or together = false",
        )


def _sharding(recipe: Recipe) -> dict[str, Any]:
    return {"fsdp": True, "fsdp_config": {"version": 2}} if recipe.train.fsdp else {}
