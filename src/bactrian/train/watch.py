"""Tells the stream where a training stands, marks whole checkpoints, stops on NaN."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.train.keep import BEST, WHOLE, damage, keep_beside, mark, put_back, told_by
from bactrian.train.trainer import ResponseTrainer

__all__ = ["WHOLE", "Watch", "checkpoint_of", "go_on", "last_whole_checkpoint", "steps_of"]


class Watch(TrainerCallback):
    """Looks at every step of one training."""

    def __init__(self, task: str, trainer: ResponseTrainer) -> None:
        self.task = task
        self.trainer = trainer
        self._begun, self._tokens = 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock; what is slow at first is the first step's."""
        self._begun = time.monotonic()
        state.epoch = self.trainer.job.plan.epoch_at(state.global_step)
        _own_chances(self.trainer)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Emit the progress, and have the loss of the last steps told whatever their number."""
        plan = self.trainer.job.plan
        state.epoch = plan.epoch_at(state.global_step)
        self._tokens += int(plan.data.lengths[plan.rows_of(state.global_step - 1)].sum())
        if self.trainer.processes.main:
            seconds = time.monotonic() - self._begun
            done = state.global_step - self.trainer.first
            emit(
                "progress",
                task=self.task,
                done=state.global_step,
                total=state.max_steps,
                tokens_per_second=round(self._tokens / seconds, 1),
                seconds_left=round(seconds / done * (state.max_steps - state.global_step), 1),
            )
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any
    ) -> None:
        """Raise ConfigError where the loss is not a number any more."""
        if math.isfinite(logs.get("loss", 0.0)):
            return
        lost = [name for name, loss in logs.items() if not math.isfinite(loss)]
        where = ", ".join(name.removeprefix("loss_") for name in lost if name.startswith("loss_"))
        raise ConfigError(
            f"{self.task}: the loss is not a number any more (step {state.global_step}"
            f"{f', in {where}' if where else ''})",
            "lower train.learning_rate, or look for damaged rows in the data; checkpoints before "
            "it are kept",
        )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole: every process has written its part by now."""
        self.trainer.tally.gather()  # also the point at which all have come this far
        if self.trainer.processes.main:
            out = Path(args.output_dir)
            folder = out / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            if (out / BEST).is_file():
                keep_beside(out / BEST, folder)
            told = {"tally": self.trainer.tally.state(), "world": self.trainer.processes.world}
            mark(folder, told)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that has its mark, whatever has become of it since."""
    whole = [path.parent for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{WHOLE}")]
    return max(whole, key=steps_of, default=None)


def checkpoint_of(folder: Path, task: str) -> Path | None:
    """Return the newest checkpoint that is whole, and sweep away what cannot be gone on from.

    A damaged one is said before the one before it is looked at. For one process to call.
    """
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if not (path / WHOLE).is_file():
            shutil.rmtree(path, ignore_errors=True)  # the kill came while it was written
    found = last_whole_checkpoint(folder)
    while found is not None and (why := damage(found)):
        shutil.rmtree(found)
        before = last_whole_checkpoint(folder)
        where = f"step {steps_of(before)}" if before else "the beginning"
        emit(
            "warning",
            text=f"{task}: {found} is damaged ({why}) and removed; going on from {where}",
        )
        found = before
    return found


def steps_of(checkpoint: Path) -> int:
    """Return the optimizer steps that were done when a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def go_on(trainer: ResponseTrainer, checkpoint: Path | None) -> None:
    """Put tally and best weights back to where they were when the checkpoint was written."""
    if not trainer.processes.main:
        return
    put_back(BEST, checkpoint, Path(trainer.args.output_dir))
    if checkpoint is None:
        return
    told = told_by(checkpoint)
    trainer.tally.load(told["tally"])
    before, now = told["world"], trainer.processes.world
    if before != now:
        emit(
            "decision",
            text=f"the checkpoint was written by {before} process{'es' if before > 1 else ''}, and "
            f"there {'are' if now > 1 else 'is'} {now} now: rows and steps stay the same, dropout "
            "draws anew",
        )


def _own_chances(trainer: ResponseTrainer) -> None:
    """Let each of several processes draw a dropout of its own; a checkpoint's come after this."""
    if trainer.processes.world > 1:
        import torch

        torch.manual_seed(trainer.args.seed + trainer.processes.rank)
