"""Has the base and every adapter answer prompts, batch by batch, only what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bactrian import table
from bactrian.evaluate.confusion.answers import Answers, Written
from bactrian.evaluate.engine import Scorers
from bactrian.events import emit
from bactrian.models.batched import batches, generate_together, takes_padding

VERSION = 1
"""Raised when the same model would write other answers than before."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked in one language."""

    language: str
    ids: Mapping[str, tuple[int, ...]]
    """Token ids by item."""
    most: int
    """Longest answer in tokens; prompt and answer fit the model together."""
    budget: int
    """Tokens of a batch, padding and answers included."""

    @property
    def key(self) -> str:
        """Hash of all that answers depend on beside the model; batches move the last bits."""
        return table.hash_of(
            VERSION, self.most, self.budget, [[item, list(ids)] for item, ids in self.ids.items()]
        )


def ask(ready: Scorers, prompts: Prompts, answers: Answers) -> dict[str, dict[str, Written]]:
    """Return every model's answers by item, after what was missing has been written.

    Batches follow from the prompts alone and are committed whole: a run that was killed and gone
    on with has the answers of one that was not. The base is loaded once, adapters take turns.
    """
    items, ids = list(prompts.ids), list(prompts.ids.values())
    found = {name: answers.get(key, prompts.key) for name, key in ready.keys.items()}
    budget = prompts.budget if takes_padding(ready.base.model) else 1
    total, done = len(items) * len(ready.keys), 0
    for batch in batches([len(one) for one in ids], prompts.most, budget):
        for name, key in ready.keys.items():
            if any(items[place] not in found[name] for place in batch):
                with ready.using(name):
                    texts = generate_together(
                        ready.model,
                        ready.base.tokenizer,
                        [ids[place] for place in batch],
                        prompts.most,
                    )
                written = [
                    Written(items[place], one.text.strip(), one.tokens, one.finish == "length")
                    for place, one in zip(batch, texts, strict=True)
                ]
                answers.put(key, prompts.key, written)
                found[name].update((one.item, one) for one in written)
            done += len(batch)
            emit("progress", task=f"answers {prompts.language}", done=done, total=total)
    return found
