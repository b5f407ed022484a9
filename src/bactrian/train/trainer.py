"""transformers' Trainer with our order of the data and our loss; all else is the Trainer's.

Its unit of data is the optimizer step, a list of micro-batches, so that steps may be cut to fit the
memory without anything else being touched. The loss is the sum of -log p over the tokens of the
whole step, in all processes, divided by their number. Resume, schedules, FSDP, loggers and
callbacks are what its users know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.train.batches import Micro
from bactrian.train.history import MEAN, TRAINING
from bactrian.train.job import Job, Steps
from bactrian.train.keep import LEARNING, read_learning, write_learning
from bactrian.train.processes import processes
from bactrian.train.sharded import exact_sums, load_optimizer, optimizer_state
from bactrian.train.tally import Tally

FORWARD = ("input_ids", "position_ids", "attention_mask", "decoder_input_ids", "at", "targets")
"""What of a micro-batch the model is given."""


class FromStep(Sampler[int]):
    """The steps of a plan in order, from the first that is not done."""

    def __init__(self, steps: int, first: int) -> None:
        self.steps = steps
        self.first = first

    def __len__(self) -> int:
        return self.steps  # all of them: the Trainer counts epochs by it

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.steps))


class ResponseTrainer(Trainer):
    """Trains on what has a loss only, in the plan's order, with the loss of each language.

    ``attention`` and ``layers`` are those of ``fast_attention`` and ``fast_lora``, told what each
    micro-batch is made of; ``groups`` are the optimizer's for each adapter, and ``factors`` what
    their learning rates are multiplied by at a step; ``first`` is the number of steps done.
    """

    def __init__(
        self,
        *,
        job: Job,
        attention: Any = None,
        layers: Any = None,
        groups: list[list[dict[str, Any]]],
        factors: list[Callable[[int], float]],
        first: int = 0,
        **given: Any,
    ) -> None:
        self.processes = processes()
        steps = Steps(job, self.processes)
        super().__init__(train_dataset=steps, **given)
        if self.is_fsdp_enabled:
            exact_sums(self.accelerator)
        self.job = job
        self.attention = attention
        self.layers = layers
        self.groups = groups
        self.factors = factors
        self.first = first
        self.model_accepts_loss_kwargs = False  # our own count of tokens
        self.tally = Tally(job.rows.labels, self.args.device)
        self.fitted = 0
        """Tokens of the largest micro-batch so far."""

    def get_train_dataloader(self) -> DataLoader[list[Micro]]:
        """Return the micro-batches of each step, all epochs in one pass."""
        return DataLoader(
            self.train_dataset,
            batch_size=None,
            sampler=FromStep(self.job.plan.steps, self.first),
            collate_fn=lambda step: step,
            generator=torch.Generator(),  # its own: the default one is the dropout's
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return AdamW over the groups of all adapters."""
        kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        groups = [group for of_one in self.groups for group in of_one]
        self.optimizer = kind(groups, **settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule; each adapter has that of its own number of steps."""
        factors = [
            factor for factor, of_one in zip(self.factors, self.groups, strict=True) for _ in of_one
        ]
        optimizer = self.optimizer if optimizer is None else optimizer
        inner = getattr(optimizer, "optimizer", optimizer)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(inner, factors)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(
        self, model: Any, inputs: list[Micro], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Run the micro-batches of one step forward and backward; return the step's loss."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        for place, micro in enumerate(inputs):
            with self._unsynchronised(model, place == len(inputs) - 1):
                total += self._micro_step(model, micro)
        return total

    def _micro_step(self, model: Any, micro: Micro) -> torch.Tensor:
        tokens = micro["input_ids"].numel()
        with self.reading(micro):
            try:
                micro = self._prepare_inputs(micro)
                with self.compute_loss_context_manager():
                    nats = self.nats(model, micro)
                # gradients are averaged over processes: the sum is wanted
                loss = (nats * micro["weights"]).sum() * self.processes.world
                self.accelerator.backward(loss)
            except RuntimeError as error:
                if (told := self._too_large(tokens, error)) is None:
                    raise
                raise told from error
        self.fitted = max(self.fitted, tokens)
        self.tally.add(nats.detach(), micro["labels_of"])
        return loss.detach()

    def nats(self, model: Any, micro: Micro) -> torch.Tensor:
        """Return -log p, float32 [n], of the targets of a micro-batch that is on the device."""
        told = {name: micro[name] for name in FORWARD if name in micro}
        found: torch.Tensor = model(**told)
        return found

    def reading(self, micro: Micro) -> AbstractContextManager[None]:
        """Tell the layers whose rows these are, and the attention where documents end."""
        if self.layers is not None:
            rows, length = micro["input_ids"].shape
            count = length if "documents" in micro else rows
            self.layers.rows(micro.get("segments"), count)
        if self.attention is None:
            return nullcontext()
        told: AbstractContextManager[None] = self.attention.documents(micro.get("documents"))
        return told

    def _unsynchronised(self, model: Any, last: bool) -> AbstractContextManager[None]:
        """Let gradients be exchanged once a step, where that is DistributedDataParallel's work."""
        if last or not hasattr(model, "no_sync") or self.is_fsdp_enabled:
            return nullcontext()
        apart: AbstractContextManager[None] = model.no_sync()
        return apart

    def _too_large(self, tokens: int, error: RuntimeError) -> ConfigError | None:
        """Return what a user can do where it was the memory that did not suffice."""
        said = str(error).lower()
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in said:
            return None
        fitted = f"the largest that fitted has {self.fitted}" if self.fitted else "none fitted yet"
        smaller = max(1, (self.fitted or tokens // 2) // 2 * 2)
        return ConfigError(
            f"out of memory with a micro-batch of {tokens} tokens ({fitted})",
            f"run it again with --set train.micro_batch_tokens={smaller}, or with "
            "--set train.checkpointing=true; it goes on from the last checkpoint",
        )

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip each adapter's gradient by its own norm, as if it were alone."""
        if len(self.groups) == 1:
            return super()._clip_grad_norm(model)
        norms = []
        for of_one in self.groups:
            learning = [weights for group in of_one for weights in group["params"]]
            norms.append(torch.nn.utils.clip_grad_norm_(learning, self.args.max_grad_norm))
        return torch.stack(norms).norm()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the loss of each language since the last report, and tell the stream."""
        if "loss" in logs:
            self.tally.gather(everywhere=True)  # a loss that is no number stops all of them
            logs |= {"loss": self.tally.mean(), **self._losses()}
            self.tally.clear()
            if self.processes.main:
                emit("metric", step=self.state.global_step, **logs)
        super().log(logs, start_time)

    def _losses(self) -> dict[str, float]:
        """Return the loss of each language, and of each adapter where there are several."""
        found = {f"{TRAINING}{name}": loss for name, loss in self.tally.means().items()}
        names = [one.name for one in self.job.members if len(self.job.members) > 1]
        told = [name for name in names if self.tally.of(f"{name}/")]
        return found | {f"{MEAN}{name}": self.tally.mean(f"{name}/") for name in told}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write what is needed to go on, unless the loss is not a number: that is told first."""
        self.tally.gather()
        if self.tally.tokens and not math.isfinite(self.tally.mean()):
            told = {"loss": self.tally.mean(), **self._losses()}
            self.callback_handler.on_log(self.args, self.state, self.control, told)
        super()._save_checkpoint(model, trial)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write what learns, for going on; the finished adapter is written elsewhere."""
        if output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            path = Path(output_dir) / LEARNING
            write_learning(self.model, path, write=self.args.should_save)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_learning(self.model, Path(resume_from_checkpoint) / LEARNING)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Write the optimizer as if it were not spread over processes, where FSDP has done that."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = optimizer_state(self.optimizer, keep=self.args.should_save)
        if self.args.should_save:
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self.is_fsdp_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        read = partial(torch.load, map_location="cpu", weights_only=True)
        load_optimizer(self.optimizer, read(Path(checkpoint) / OPTIMIZER_NAME))
        self.lr_scheduler.load_state_dict(read(Path(checkpoint) / SCHEDULER_NAME))

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the Trainer's count takes every position for computed."""
        return 0
