"""Scores items under a base and its adapters, the base loaded once, only what is missing.

Knows texts and models, not what a task means by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate.store import Scored, Store
from bactrian.evaluate.tasks import Item, Rules
from bactrian.events import emit
from bactrian.models.adapters import attach, facts_of
from bactrian.models.base import Base
from bactrian.models.head import Split, split
from bactrian.models.scoring import Request, batches, encode, fit, score

BASE = "base"
VERSION = 1
"""Raised when the engine would give other numbers than before."""


@dataclass(frozen=True, slots=True)
class Scorers:
    """The base and its adapters, ready to score."""

    base: Base
    model: Any
    parts: Split
    keys: Mapping[str, str]
    """Name (``base`` first) to the hash of what computes the numbers."""

    def using(self, name: str) -> AbstractContextManager[Any]:
        """Switch to one of them for the length of a block."""
        if name == BASE:
            found: AbstractContextManager[Any] = (
                self.model.disable_adapter() if len(self.keys) > 1 else nullcontext()
            )
            return found
        self.model.set_adapter(name)
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Questions:
    """The items of one task in one language, as requests."""

    task: str
    language: str
    key: str
    """Hash of every text and of how it is encoded."""
    places: tuple[tuple[str, int], ...]
    """(item, option) of each request."""
    requests: tuple[Request, ...]
    dropped: tuple[int, ...]
    """Tokens of context left out, by request."""
    spanning: int
    """Requests in which a token spanned the join, so that the parts were encoded apart."""


def scorers(base: Base, adapters: Mapping[str, Path]) -> Scorers:
    """Attach the adapters; raises AdapterError for one that is not in order or not of this base."""
    model = attach(base, adapters) if adapters else base.model
    keys = {BASE: table.hash_of(VERSION, base.location.fingerprint, "", base.dtype)}
    for name, folder in adapters.items():
        keys[name] = table.hash_of(
            VERSION, base.location.fingerprint, _adapter_hash(folder), base.dtype
        )
    return Scorers(base, model, split(model), keys)


def questions(
    base: Base, task: str, language: str, items: Sequence[Item], rules: Rules
) -> Questions:
    """Encode the items; raises DataError for an option that is empty or longer than the model."""
    longest = int(getattr(base.model.config, "max_position_embeddings", 0) or 1 << 30)
    places, requests, dropped, spanning = [], [], [], 0
    keep_first = base.tokenizer.bos_token_id is not None and bool(
        base.tokenizer.encode("a")[:1] == [base.tokenizer.bos_token_id]
    )
    for item in items:
        for option, text in enumerate(item.options):
            request, spanned = _encode(base.tokenizer, item.context, text, rules.join)
            spanning += spanned
            if not request.continuation:
                raise DataError(f"{task} {language} {item.id}: an option is empty", "mend the data")
            try:
                cut = fit(request, longest, keep_first)
            except ValueError as error:
                raise DataError(f"{task} {language} {item.id}: {error}", "leave it out") from None
            places.append((item.id, option))
            requests.append(cut.request)
            dropped.append(cut.dropped)
    key = table.hash_of(
        VERSION, task, language, rules.join, [[i.id, i.context, i.options] for i in items]
    )
    return Questions(task, language, key, tuple(places), tuple(requests), tuple(dropped), spanning)


def answer(scorers: Scorers, asked: Questions, store: Store, budget: int) -> None:
    """Score what the store lacks, under the base and every adapter, batch by batch."""
    if any(asked.dropped):
        count = sum(map(bool, asked.dropped))
        emit("warning", text=f"{asked.task} {asked.language}: {count} contexts cut to fit")
    plan = batches(asked.requests, budget)
    total = len(asked.requests) * len(scorers.keys)
    done = 0
    for name, key in scorers.keys.items():
        present = store.get(key, asked.key)
        with scorers.using(name):
            for batch in plan:
                if any(asked.places[index] not in present for index in batch):
                    store.put(key, asked.key, _scored(scorers.parts, asked, batch))
                done += len(batch)
                emit("progress", task=f"eval {asked.task} {asked.language}", done=done, total=total)


def _scored(parts: Split, asked: Questions, batch: Sequence[int]) -> Iterator[Scored]:
    found = score(parts, [asked.requests[index] for index in batch])
    for index, log_likelihood in zip(batch, found, strict=True):
        item, option = asked.places[index]
        tokens = len(asked.requests[index].continuation)
        yield Scored(item, option, log_likelihood, tokens, asked.dropped[index])


def _encode(tokenizer: Any, context: str, option: str, join: str) -> tuple[Request, bool]:
    if join == "together":
        return encode(tokenizer, context, option)
    before = tokenizer.encode(context, add_special_tokens=True)
    after = tokenizer.encode(option, add_special_tokens=False)
    return Request(tuple(before), tuple(after)), False


def _adapter_hash(folder: Path) -> str:
    facts = facts_of(folder)
    if facts is not None:
        return facts.made_from
    weights = (folder / "adapter_model.safetensors").read_bytes()
    return table.hash_of(weights.hex())
