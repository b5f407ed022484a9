"""transformers' Trainer with our order of the data and our loss; all else is the Trainer's.

Resume, checkpoints, schedules and callbacks are what its users know. The loss is the sum over
response tokens divided by their number in the whole optimizer step, so accumulation changes
nothing; it is told by language as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.models.head import Split
from bactrian.train.loss import response_nats
from bactrian.train.plan import Plan
from bactrian.train.prepare import Prepared

IGNORED = -100
WHOLE = "whole"
"""Written into a checkpoint last: a folder without it was cut off and is not used.

It holds the tally since the last report, so that a report after a kill says the same.
"""


class Rows(Dataset[int]):
    """Row indices; the tokens are fetched when a batch is put together."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, index: int) -> int:
        return index


class PlanSampler(Sampler[list[int]]):
    """Hands out the plan's micro-batches, the same ones every time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return map(list, self.plan.batches)


def collate(prepared: Prepared, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return ids and labels [rows, longest], padded on the right, and languages [rows].

    Nothing stands before a row's first token, so it is never a label.
    """
    found = [prepared.row(index) for index in rows]
    longest = max(len(tokens) for tokens, _, _ in found)
    ids = np.zeros((len(found), longest), dtype=np.int64)
    labels = np.full((len(found), longest), IGNORED, dtype=np.int64)
    for place, (tokens, prompt, _) in enumerate(found):
        ids[place, : len(tokens)] = tokens
        first = max(1, prompt)
        labels[place, first : len(tokens)] = tokens[first:]
    return {
        "input_ids": torch.from_numpy(ids),
        "labels": torch.from_numpy(labels),
        "languages": torch.tensor([language for _, _, language in found]),
    }


class Tally:
    """Nats and tokens of each language since the last report."""

    def __init__(self, names: Sequence[str], device: Any = "cpu") -> None:
        self.names = names
        self._sums = torch.zeros(2, len(names), dtype=torch.float64, device=device)

    def add(self, nats: torch.Tensor, languages: torch.Tensor) -> None:
        """Count -log p [n] of tokens in the languages [n]."""
        both = torch.stack([nats.double(), torch.ones_like(nats, dtype=torch.float64)])
        self._sums.index_add_(1, languages, both)

    def report(self) -> dict[str, float]:
        """Return ``loss`` and ``loss_<language>`` in nats a token, and begin anew."""
        nats, counts = self._sums.tolist()
        if not sum(counts):
            return {}
        found = {
            f"loss_{name}": total / count
            for name, total, count in zip(self.names, nats, counts, strict=True)
            if count
        }
        self._sums.zero_()
        return {"loss": sum(nats) / sum(counts), **found}

    def write(self, path: Path) -> None:
        """Keep the sums, exactly."""
        path.write_text(json.dumps(self._sums.tolist()), encoding="utf-8")

    def read(self, path: Path) -> None:
        """Go on from what ``write`` kept."""
        told = json.loads(path.read_text(encoding="utf-8"))
        self._sums.copy_(torch.tensor(told, dtype=torch.float64))


class ResponseTrainer(Trainer):
    """Trains on responses only, in the plan's order, with the loss of each language."""

    def __init__(self, *, parts: Split, prepared: Prepared, plan: Plan, **given: Any) -> None:
        super().__init__(train_dataset=Rows(prepared), **given)
        self.parts = parts
        self.prepared = prepared
        self.plan = plan
        self.loss_is_scaled_for_ga = True  # we divide by the tokens of the whole step
        self.model_accepts_loss_kwargs = True  # else these are not counted
        self.tally = Tally(prepared.names, self.args.device)
        head = parts.head.linear.parameters()
        self._frozen_head = parts.fast and not any(weight.requires_grad for weight in head)

    def get_train_dataloader(self) -> DataLoader[int]:
        """Return the plan's micro-batches, all epochs in one pass."""
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=PlanSampler(self.plan),
            collate_fn=lambda rows: collate(self.prepared, rows),
        )
        prepared: DataLoader[int] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the sum of -log p over response tokens / their number in the whole step."""
        labels = inputs["labels"]
        where = labels[:, 1:] != IGNORED
        targets = labels[:, 1:][where]
        ids = inputs["input_ids"][:, :-1]
        if self._frozen_head:
            nats = response_nats(self.parts.hidden(ids)[where], targets, self.parts.head)
        else:
            nats = cross_entropy(self.parts.logits_at(ids, where), targets, reduction="none")
        languages = inputs["languages"].unsqueeze(1).expand_as(where)[where]
        self.tally.add(nats.detach(), languages)
        count = where.sum() if num_items_in_batch is None else num_items_in_batch
        loss = nats.sum() / count
        return (loss, None) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the loss of each language since the last report, and tell the stream."""
        if "loss" in logs:
            logs |= self.tally.report()
            emit("metric", step=self.state.global_step, **logs)
        super().log(logs, start_time)


class Watch(TrainerCallback):
    """Tells the stream where training stands, marks whole checkpoints, stops on NaN."""

    def __init__(self, task: str, tally: Tally) -> None:
        self.task = task
        self.tally = tally

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Emit the progress, and have the loss of the last steps told whatever their number."""
        emit("progress", task=self.task, done=state.global_step, total=state.max_steps)
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any
    ) -> None:
        """Raise ConfigError where the loss is not a number any more."""
        if not math.isfinite(logs.get("loss", 0.0)):
            raise ConfigError(
                f"{self.task}: the loss is not a number any more (step {state.global_step})",
                "lower train.learning_rate, or look for damaged rows in the data",
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole."""
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        self.tally.write(folder / WHOLE)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end."""
    whole = [path.parent for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{WHOLE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
