"""What travels to those that compute: batches to score, prompts to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bactrian.models.generation import Generated
from bactrian.models.scoring import Batch, Likelihood

if TYPE_CHECKING:
    from bactrian.evaluate.engine import Scorers


@dataclass(frozen=True, slots=True)
class Scoring:
    """Batches, each with the models that score it: one after the other over the same tokens."""

    batches: tuple[tuple[Batch, tuple[str, ...]], ...]

    def done_by(self, ready: Scorers) -> list[list[Likelihood]]:
        """Return the likelihoods of each batch under each of its models, in this order."""
        found = []
        with ready.scorer.at_work():
            for batch, names in self.batches:
                for name in names:
                    with ready.using(name):
                        found.append(ready.scorer.score(batch))
        return found


@dataclass(frozen=True, slots=True)
class Answering:
    """Prompts as token ids that one model answers together, greedily."""

    model: str
    prompts: tuple[tuple[int, ...], ...]
    most: int
    """Longest answer in tokens."""

    def done_by(self, ready: Scorers) -> list[Generated]:
        """Return the answers in order."""
        with ready.using(self.model):
            return ready.writer.greedy(self.prompts, self.most)
