"""Has the base and every adapter answer prompts, batch by batch, only what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bactrian import table
from bactrian.evaluate.confusion.answers import Answers, Written
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.spread import Crew, Unit
from bactrian.evaluate.spread.works import Answering
from bactrian.events import emit
from bactrian.models.generation import Generated

VERSION = 1
"""Raised when the same model would write other answers than before."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked in one language."""

    language: str
    ids: Mapping[str, tuple[int, ...]]
    """Token ids by item, or code points where a server takes texts alone."""
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
    total, done = len(prompts.ids) * len(ready.keys), 0
    for batch, lacking in _batches(ready, prompts, answers):
        for name, key in ready.keys.items():
            if name in lacking:
                with ready.using(name):
                    texts = ready.writer.greedy([prompts.ids[item] for item in batch], prompts.most)
                answers.put(key, prompts.key, _written(batch, texts))
            done += len(batch)
            emit("progress", task=f"answers {prompts.language}", done=done, total=total)
    return {name: answers.get(key, prompts.key) for name, key in ready.keys.items()}


def ask_crew(crew: Crew, ready: Scorers, several: Sequence[Prompts], answers: Answers) -> None:
    """Have a crew write what is missing in all languages: the very batches that ``ask`` makes."""
    units = [
        Unit(
            Answering(name, tuple(prompts.ids[item] for item in batch), prompts.most),
            f"answers {prompts.language}",
            (prompts, name, batch),
        )
        for prompts in several
        for batch, lacking in _batches(ready, prompts, answers)
        for name in lacking
    ]
    for number, done in enumerate(crew.done(units), start=1):
        prompts, name, batch = done.unit.whose
        answers.put(ready.keys[name], prompts.key, _written(batch, done.result))
        emit("progress", task="answers, batches", done=number, total=len(units))


def _batches(
    ready: Scorers, prompts: Prompts, answers: Answers
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the items of each batch, with the models of which an answer is missing."""
    items = list(prompts.ids)
    found = {name: answers.get(key, prompts.key) for name, key in ready.keys.items()}
    lengths = [len(ids) for ids in prompts.ids.values()]
    for places in ready.writer.plan(lengths, prompts.most, prompts.budget):
        batch = [items[place] for place in places]
        yield batch, [n for n, there in found.items() if any(item not in there for item in batch)]


def _written(batch: Sequence[str], texts: Sequence[Generated]) -> list[Written]:
    return [
        Written(item, one.text.strip(), one.tokens, one.finish == "length")
        for item, one in zip(batch, texts, strict=True)
    ]
