"""Trains adapters on a loaded base: everything that makes a step fast or exact comes together here.

Knows nothing of recipes' places on disk beyond the folder it keeps its checkpoints in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.models.attention import fast_attention
from bactrian.models.base import Base
from bactrian.models.blocks import fast_blocks
from bactrian.models.lora_layers import fast_lora
from bactrian.recipe import Recipe, Train
from bactrian.train import full
from bactrian.train.answering import answering
from bactrian.train.assemble import Assembled
from bactrian.train.history import TRAINING, courses, own
from bactrian.train.job import Job, Member
from bactrian.train.keep import BEST, read_learning
from bactrian.train.lora import Alone, parameter_groups, with_lora
from bactrian.train.processes import as_main_says, processes, wait
from bactrian.train.rates import rates
from bactrian.train.settings import arguments
from bactrian.train.sharded import Gathered, gathered
from bactrian.train.trainer import ResponseTrainer
from bactrian.train.validate import Patience, Validation
from bactrian.train.watch import Watch, checkpoint_of, go_on, steps_of

History = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that is ready to learn."""

    model: Any
    attention: Any
    layers: Any

    def packs(self, packing: str) -> bool:
        """Return whether rows are packed: where the attention can, unless it is not wanted.

        Raises ConfigError where packing was asked for and would mix the rows.
        """
        if packing == "pack" and not self.attention.packs:
            raise ConfigError(
                f'train.packing = "pack": {self.attention.why or "this model cannot"}',
                'write packing = "auto"',
            )
        return bool(self.attention.packs) and packing != "pad"


@contextmanager
def made_ready(base: Base, train: Train, names: list[str], seed: int) -> Iterator[Ready]:
    """Yield the base's model with what is to learn in it; afterwards it is as it was.

    ``names`` are the adapters, each begun from ``seed``; after full fine-tuning the weights differ.
    """
    from transformers import set_seed

    set_seed(seed)
    with ExitStack() as stack:
        if train.adapter == "none":
            model = stack.enter_context(full.with_all(base, checkpointing=train.checkpointing))
        else:
            several = dict.fromkeys(names, (train.lora, seed))
            model = stack.enter_context(
                with_lora(base.model, several, checkpointing=train.checkpointing)
            )
        # first: a layer that has other forwards already is left alone by it
        attention = stack.enter_context(fast_attention(model))
        stack.enter_context(fast_blocks(model))
        layers = None if train.adapter == "none" else stack.enter_context(fast_lora(model))
        stack.enter_context(answering(model))
        yield Ready(model, attention, layers)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training made of one adapter."""

    name: str
    savable: Any
    """Has ``save_pretrained`` for this adapter alone."""
    state: dict[str, Any] | None
    """All weights where they are spread over processes (FSDP), else None."""
    steps: int
    """Optimizer steps done; fewer than planned where it was stopped early."""
    tokens: int
    """Tokens seen, padding not counted."""
    losses: dict[str, float]
    """Last reported training loss by language, nats a token."""
    history: History
    """Everything that was reported of it."""


def learn(
    ready: Ready, base: Base, recipe: Recipe, made: Assembled, scratch: Path
) -> tuple[Outcome, ...]:
    """Train to the end, from the last checkpoint in ``scratch`` where there is one."""
    train, job = recipe.train, made.job
    task = "train " + "+".join(member.name for member in job.members)
    checkpoint = as_main_says(processes(), lambda: checkpoint_of(scratch, task))
    whole = train.adapter == "none"
    trainer = ResponseTrainer(
        job=job,
        attention=ready.attention,
        layers=ready.layers,
        groups=_groups(ready.model, train, job),
        factors=[rates(train, member.plan.steps) for member in job.members],
        first=steps_of(checkpoint) if checkpoint else 0,
        model=ready.model,
        args=arguments(recipe, scratch, job.plan.steps, base.device, base.dtype if whole else ""),
    )
    trainer.remove_callback(PrinterCallback)  # prints between our lines
    trainer.add_callback(Watch(task, trainer))
    if made.held_out is not None:
        patience = Patience(train.patience, train.stop_on)
        tokens = train.micro_batch_tokens
        trainer.add_callback(Validation(trainer, made.held_out, train.eval_steps, tokens, patience))
    go_on(trainer, checkpoint)
    if checkpoint and trainer.processes.main:
        emit("note", text=f"{task}: going on from step {steps_of(checkpoint)}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    wait(trainer.processes)  # the best weights may be on their way to the disk
    if train.patience and (best := scratch / BEST).is_file():
        read_learning(trainer.model, best)
    return tuple(_outcomes(trainer, ready.model, train))


def _outcomes(trainer: ResponseTrainer, model: Any, train: Train) -> Iterator[Outcome]:
    history = [entry for entry in trainer.state.log_history if "train_runtime" not in entry]
    state = None
    if trainer.is_fsdp_enabled:
        state = gathered(_saved(model, train), keep=trainer.processes.main)
    members = trainer.job.members
    for member in members:
        steps = min(trainer.state.global_step, member.plan.steps)
        mine = history if len(members) == 1 else own(history, member.name, member.plan)
        losses = courses(mine, TRAINING, member.prepared.names)
        savable = model if train.adapter == "none" else Alone(model, member.name)
        savable = savable if state is None else Gathered(savable, state)
        yield Outcome(
            member.name,
            savable,
            state,
            steps,
            _tokens(member, steps),
            {language: course.last for language, course in losses.items()},
            mine,
        )


def _saved(model: Any, train: Train) -> dict[str, Any]:
    """Return what is saved of a model, by name: all of it, or what learns."""
    if train.adapter == "none":
        return dict(model.state_dict())
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


def _tokens(member: Member, steps: int) -> int:
    if steps == member.plan.steps:
        return member.plan.total.useful_tokens
    lengths, rows_of = member.plan.data.lengths, member.plan.rows_of
    return sum(int(lengths[rows_of(step)].sum()) for step in range(steps))


def _groups(model: Any, train: Train, job: Job) -> list[list[dict[str, Any]]]:
    """Return the optimizer's groups of each adapter of the job."""
    if train.adapter == "none":
        return [full.parameter_groups(model, train.learning_rate, train.weight_decay)]
    groups = parameter_groups(model, train.lora, train.learning_rate, train.weight_decay)
    owner = _owners(model, [member.name for member in job.members])
    return [
        [
            {**group, "params": mine}
            for group in groups
            if (mine := [weights for weights in group["params"] if owner[id(weights)] == name])
        ]
        for name in (member.name for member in job.members)
    ]


def _owners(model: Any, names: list[str]) -> dict[int, str]:
    """Return the adapter of each parameter that learns, by the parameter's identity."""
    found: dict[int, str] = {}
    for path, weights in model.named_parameters():
        if weights.requires_grad:
            parts = path.split(".")
            found[id(weights)] = next(name for name in names if name in parts)
    return found
