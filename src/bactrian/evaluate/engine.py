"""Scores items under a base and its adapters, the base loaded once, only what is missing.

Knows texts and models, not what a task means by them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bactrian import table
from bactrian.errors import AdapterError, DataError
from bactrian.evaluate.store import Scored, Store
from bactrian.evaluate.tasks import Item, Rules
from bactrian.evaluate.writer import Here, Writer
from bactrian.events import emit
from bactrian.models.adapters import BASE, WEIGHTS, attach
from bactrian.models.base import Base
from bactrian.models.scoring import (
    Batch,
    Likelihood,
    Request,
    Scorer,
    encode,
    encode_apart,
    fit,
    scorer,
)

if TYPE_CHECKING:
    from bactrian.evaluate.spread import Crew

VERSION = 3
"""Raised when the engine would give other numbers than before."""


@dataclass(frozen=True, slots=True)
class Scorers:
    """The base and its adapters, ready to score."""

    base: Base
    model: Any
    scorer: Scorer
    writer: Writer
    keys: Mapping[str, str]
    """Name (``base`` first) to the hash of what computes the numbers."""
    crew: Crew | None = None
    """Several that compute, of which this one plans and keeps; None where it computes alone."""

    def using(self, name: str) -> AbstractContextManager[Any]:
        """Switch to one of them for the length of a block."""
        if name == BASE:
            found: AbstractContextManager[Any] = (
                self.model.disable_adapter() if len(self.keys) > 1 else nullcontext()
            )
            return found
        self.model.set_adapter(name)
        return nullcontext()

    def detach(self) -> None:
        """Take the adapters off the base, which is then as it was."""
        if len(self.keys) > 1:
            self.model.unload()


@dataclass(frozen=True, slots=True)
class Questions:
    """The items of one task in one language, as requests."""

    task: str
    language: str
    key: str
    """Hash of every text and of its token ids."""
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
    keys = keys_of(base.location.fingerprint, adapters, base.precision)
    return Scorers(base, model, scorer(model), Here(base, model), keys)


def keys_of(fingerprint: str, adapters: Mapping[str, Path], precision: str) -> dict[str, str]:
    """Return the hash of what computes the numbers, of the base and of every adapter, by name."""
    weights = {BASE: "", **{name: adapter_hash(folder) for name, folder in adapters.items()}}
    return {
        name: table.hash_of(VERSION, fingerprint, digest, precision)
        for name, digest in weights.items()
    }


def questions(
    base: Base, task: str, language: str, items: Sequence[Item], rules: Rules
) -> Questions:
    """Encode the items.

    Raises DataError for an option that is empty or longer than the model, and for an id that is
    there twice.
    """
    where = f"{task} {language}"
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise DataError(f"{where}: the id {twice[0]} is there twice", "give every item its own")
    config = base.model.config.get_text_config()
    longest = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
    places, requests, dropped, spanning = [], [], [], 0
    keep_first = base.tokenizer.bos_token_id is not None and bool(
        base.tokenizer.encode("a")[:1] == [base.tokenizer.bos_token_id]
    )
    for item in items:
        for option, (context, text) in enumerate(item.pairs()):
            # after contexts that differ a space alone may be what lm-eval scores (XWinograd)
            if not text or not (text.strip() or item.contexts):
                raise DataError(f"{where} {item.id}: an option is empty", "mend the data")
            try:
                request, spanned = _encode(base.tokenizer, context, text, rules.join)
                cut = fit(request, longest, keep_first)
            except ValueError as error:
                raise DataError(f"{where} {item.id}: {error}", "leave it out") from None
            spanning += spanned
            places.append((item.id, option))
            requests.append(cut.request)
            dropped.append(cut.dropped)
    texts = [[item.id, item.pairs()] for item in items]
    ids = [[request.context, request.continuation] for request in requests]
    key = table.hash_of(VERSION, task, language, rules.join, texts, ids)
    return Questions(task, language, key, tuple(places), tuple(requests), tuple(dropped), spanning)


def answer(scorers: Scorers, asked: Questions, store: Store, budget: int) -> None:
    """Score what the store lacks, under the base and every adapter, batch by batch.

    ``budget`` is tokens of a batch. Batches are planned once and each is scored under all before
    the next one, so that its tokens and masks are made once. Raises AdapterError where a model
    gives no numbers; what was committed before stays.
    """
    tell_cut(asked)
    present = {name: store.get(key, asked.key) for name, key in scorers.keys.items()}
    plan = scorers.scorer.plan(asked.requests, budget)
    total = len(asked.requests) * len(scorers.keys)
    done = 0
    with scorers.scorer.at_work() if _lacking(asked, present) else nullcontext():
        for batch in plan:
            for name, key in scorers.keys.items():
                if any(asked.places[index] not in present[name] for index in batch.requests):
                    with scorers.using(name):
                        store.put(key, asked.key, list(_scored(scorers.scorer, asked, batch, name)))
                done += len(batch.requests)
                emit("progress", task=f"eval {asked.task} {asked.language}", done=done, total=total)


def tell_cut(asked: Questions) -> None:
    """Warn of contexts that did not fit the model."""
    if count := sum(map(bool, asked.dropped)):
        emit("warning", text=f"{asked.task} {asked.language}: {count} contexts cut to fit")


def _lacking(asked: Questions, present: Mapping[str, Mapping[tuple[str, int], Scored]]) -> bool:
    return any(place not in found for found in present.values() for place in asked.places)


def _scored(scorer: Scorer, asked: Questions, batch: Batch, name: str) -> Iterator[Scored]:
    return rows(asked, batch, name, scorer.score(batch))


def rows(
    asked: Questions, batch: Batch, name: str, likelihoods: Iterable[Likelihood]
) -> Iterator[Scored]:
    """Yield what the store keeps of a batch; AdapterError where the model gives no numbers."""
    for index, found in zip(batch.requests, likelihoods, strict=True):
        item, option = asked.places[index]
        if not math.isfinite(found.nats):
            raise AdapterError(
                f"{name}: what it gives for {asked.task} {asked.language} {item} is no number",
                "its weights are damaged, or its training diverged: train it again",
            )
        # a server that takes texts alone tells of its tokens in the reply
        tokens = getattr(found, "tokens", len(asked.requests[index].continuation))
        yield Scored(item, option, found.nats, tokens, asked.dropped[index], found.greedy)


def _encode(tokenizer: Any, context: str, option: str, join: str) -> tuple[Request, bool]:
    if join == "together":
        return encode(tokenizer, context, option)
    return encode_apart(tokenizer, context, option), False


def adapter_hash(folder: Path) -> str:
    """Return the hash of an adapter's weights and configuration (rank, alpha, what it is put on).

    Raises AdapterError where one of them is lacking.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in ("adapter_config.json", WEIGHTS):
        try:
            with (folder / name).open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        except FileNotFoundError:
            raise AdapterError(
                f"{folder} has no {name}", "fetch or train the adapter again"
            ) from None
    return digest.hexdigest()
