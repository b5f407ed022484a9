"""The loss on held-out rows of each language, while training goes on, and when to stop for it.

Training losses of a few hundred tokens jump about; the same held-out rows, scored every so many
steps, show where each language stands. Draws no random numbers: training is not touched by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from bactrian.events import emit
from bactrian.train.job import Rows
from bactrian.train.keep import BEST, write_learning
from bactrian.train.tally import Tally
from bactrian.train.trainer import ResponseTrainer

PREFIX = "validation_"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a loss may fail to fall."""

    measurements: int
    """Without a better loss, after which training stops; 0 never stops."""
    watched: str = "mean"
    """``mean`` of the languages, or the ``worst``."""

    def of(self, losses: Mapping[str, float]) -> float:
        """Return the loss that is watched."""
        return (
            max(losses.values()) if self.watched == "worst" else sum(losses.values()) / len(losses)
        )


class Validation(TrainerCallback):
    """Scores the rows before the first step, every ``every`` steps and after the last."""

    def __init__(
        self, trainer: ResponseTrainer, rows: Rows, every: int, tokens: int, patience: Patience
    ) -> None:
        self.trainer = trainer
        self.rows = rows
        self.every = every
        self.patience = patience
        self.batches = _batches(rows, tokens)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the base, unless training goes on from a checkpoint that has done so."""
        if state.global_step == 0:
            self._note(args, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score when it is time, and after the last step."""
        if state.global_step % self.every == 0 or state.global_step >= state.max_steps:
            self._note(args, state, control)

    def measure(self) -> dict[str, float]:
        """Return nats a token with a loss (EOS counted, as in training) by language."""
        trainer, world = self.trainer, self.trainer.processes.world
        model = trainer.model_wrapped
        tally = Tally(self.rows.labels, trainer.args.device)
        was_training = model.training
        model.eval()
        places = math.ceil(len(self.batches) / world)  # all processes run as many: FSDP waits
        with torch.no_grad():
            for place in range(places):
                index = place * world + trainer.processes.rank
                mine = self.batches[index] if index < len(self.batches) else np.zeros(0, np.int64)
                micro = trainer._prepare_inputs(self.rows.micro(mine))
                with trainer.reading(micro), trainer.compute_loss_context_manager():
                    tally.add(trainer.nats(model, micro), micro["labels_of"])
        model.train(was_training)
        tally.gather(everywhere=True)
        return tally.means()

    def _note(self, args: Any, state: Any, control: Any) -> None:
        found = self.measure()
        told = {f"{PREFIX}{name}": loss for name, loss in found.items()}
        # the Trainer's own history is kept in checkpoints, so a resumed training has all of it
        state.log_history.append({"step": state.global_step, **told})
        if self.trainer.processes.main:
            emit("metric", step=state.global_step, **told)
        if self.patience.measurements:
            self._judge(args, state, control)

    def _judge(self, args: Any, state: Any, control: Any) -> None:
        """Keep the weights where they are the best so far; stop where that is long ago."""
        losses = [
            (entry["step"], self.patience.of(_measured(entry)))
            for entry in state.log_history
            if _measured(entry)
        ]
        best = min(losses, key=lambda loss: loss[1])
        if best[0] == state.global_step:
            main = self.trainer.processes.main
            write_learning(self.trainer.model, Path(args.output_dir) / BEST, write=main)
        since = len(losses) - 1 - losses.index(best)
        if since >= self.patience.measurements:
            control.should_training_stop = True
            control.should_save = False  # gone on from here, it would train a step too many
            if self.trainer.processes.main:
                emit(
                    "decision",
                    text=f"stopped at step {state.global_step}: the {self.patience.watched} loss "
                    f"on held-out rows was lowest at step {best[0]} ({best[1]:.4f}); that is kept",
                )


def _measured(entry: Mapping[str, float]) -> dict[str, float]:
    return {name: loss for name, loss in entry.items() if name.startswith(PREFIX)}


def _batches(rows: Rows, tokens: int) -> list[Any]:
    """Return micro-batches of all rows, longest first, grouped by adapter inside each."""
    lengths = rows.prepared.lengths
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    found: list[list[int]] = []
    used = 0
    for index in map(int, order):
        size = int(lengths[index])
        size = size if rows.packing or not found else int(lengths[found[-1][0]])
        if found and used + size <= tokens:
            found[-1].append(index)
            used += size
        else:
            found.append([index])
            used = int(lengths[index])
    return [np.array(sorted(batch), dtype=np.int64) for batch in found]
