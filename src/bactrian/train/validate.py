"""The loss on held-out rows of each language, while training goes on.

Training losses of a few hundred tokens jump about; the same held-out rows, scored every so many
steps, show where each language stands. Draws no random numbers: training is not touched by it.
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from bactrian.events import emit
from bactrian.models.head import Split
from bactrian.models.scoring import Request, batches, score
from bactrian.train.prepare import Prepared

PREFIX = "validation_"


class Validation(TrainerCallback):
    """Scores the rows before the first step, every ``every`` steps and after the last."""

    def __init__(self, parts: Split, prepared: Prepared, every: int, batch_tokens: int) -> None:
        self.parts = parts
        self.names = prepared.names
        self.every = every
        self.languages = [int(language) for language in prepared.languages]
        self.requests = [_request(prepared, row) for row in range(len(prepared))]
        self.batches = batches(self.requests, batch_tokens)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the base, unless training goes on from a checkpoint that has done so."""
        if state.global_step == 0:
            self._note(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score when it is time, and after the last step."""
        if state.global_step % self.every == 0 or state.global_step >= state.max_steps:
            self._note(state)

    def measure(self) -> dict[str, float]:
        """Return nats a response token (EOS counted, as in training) by language."""
        nats, counts = [0.0] * len(self.names), [0] * len(self.names)
        was_training = self.parts.causal.training
        self.parts.causal.eval()
        for batch in self.batches:
            found = score(self.parts, [self.requests[index] for index in batch])
            for index, log_likelihood in zip(batch, found, strict=True):
                nats[self.languages[index]] -= log_likelihood
                counts[self.languages[index]] += len(self.requests[index].continuation)
        self.parts.causal.train(was_training)
        return {
            f"{PREFIX}{name}": total / count
            for name, total, count in zip(self.names, nats, counts, strict=True)
        }

    def _note(self, state: Any) -> None:
        found = self.measure()
        # the Trainer's own history is kept in checkpoints, so a resumed training has all of it
        state.log_history.append({"step": state.global_step, **found})
        emit("metric", step=state.global_step, **found)


def _request(prepared: Prepared, row: int) -> Request:
    tokens, prompt, _ = prepared.row(row)
    ids = tuple(int(token) for token in tokens)
    return Request(ids[:prompt], ids[prompt:])
