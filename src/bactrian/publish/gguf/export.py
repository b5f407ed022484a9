"""Writes GGUF files whole or not at all, and proves each before it gets its name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bactrian.errors import ConfigError
from bactrian.files import atomic
from bactrian.models import prompts
from bactrian.models.base import config_of, tokenizer_of
from bactrian.models.disk import writing
from bactrian.publish import exported
from bactrian.publish.chat_template import chat_template
from bactrian.publish.exported import check_room
from bactrian.publish.gguf import adapter, model, texts
from bactrian.publish.gguf.choosing import vocabulary_of
from bactrian.publish.gguf.families import family_of
from bactrian.publish.gguf.general import general
from bactrian.publish.gguf.proof import Proof, limit_of, longest_prompt
from bactrian.publish.gguf.proving import can_prove, has_room, limit_over, prove
from bactrian.publish.gguf.storage import checked
from bactrian.publish.gguf.vocabulary import readings
from bactrian.publish.gguf.writing import bytes_of, write
from bactrian.publish.opened import Opened
from bactrian.publish.source import Source
from bactrian.publish.weights import Weights

ADAPTER_TYPES = ("f32", "f16")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    to: Path
    type: str
    command: str
    prove: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be written."""

    bytes: int
    tensors: int
    type: str
    tokens: int
    """Of the vocabulary; 0 for an adapter alone."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was written."""

    path: Path
    bytes: int
    tensors: int
    type: str
    kept_back: int
    """Matrices that could not be quantised, as their rows are not whole blocks of 32."""
    proof: Proof | None
    seconds: float
    proof_seconds: float


def foretell(opened: Opened, wish: Wish) -> Forecast:
    """Return what ``write_model`` would write; raises as it does for what cannot be written."""
    planned, _ = _planned(opened, checked(wish.type))
    size = bytes_of(planned.tensors, planned.rows)
    _check_place(wish, size)
    tokenizer = tokenizer_of(opened.source.base)
    next(readings(tokenizer, planned.rows, opened.source.base.folder))
    return Forecast(size, len(planned.tensors), wish.type, planned.rows)


def foretell_adapter(opened: Opened, wish: Wish) -> Forecast:
    """Return what ``write_adapter`` would write."""
    lora = _lora(opened, wish.type)
    size = bytes_of(lora.tensors)
    _check_place(wish, size)
    return Forecast(size, len(lora.tensors), wish.type, 0)


def write_model(opened: Opened, wish: Wish) -> Done:
    """Write base and adapter as one file, prove it, and put its record beside it.

    Raises ConfigError for what no GGUF file can hold, RunError where the disk has no room and where
    the proof fails; nothing is left then.
    """
    begun = time.monotonic()
    planned, weights = _planned(opened, checked(wish.type))
    _check_place(wish, bytes_of(planned.tensors, planned.rows))
    with _unfinished(wish) as path:
        _fill(path, opened, planned, weights, prove=wish.prove)
        written = time.monotonic()
        found = None
        if can_prove(wish.prove):
            longest = longest_prompt(planned.family.context(planned.config))
            limit = limit_of(wish.type, halves=planned.family.halves)
            found = prove(opened, path, limit, longest)
    _record(opened, wish, "gguf", found)
    times = written - begun, time.monotonic() - written
    return _done(wish, len(planned.tensors), len(planned.kept_back), found, times)


def write_adapter(opened: Opened, wish: Wish, over: Path | None = None) -> Done:
    """Write an adapter alone, prove it over a file of its base, and put its record beside it.

    ``over`` is that file; without one, the base is written in float32 for the proof and taken away
    after it. Without memory for the model there is no proof, which is said. Raises as
    ``write_model`` does, and AdapterError for what has to be merged.
    """
    begun = time.monotonic()
    lora = _lora(opened, wish.type)
    _check_place(wish, bytes_of(lora.tensors))
    source = opened.source
    keys = {
        **general(opened.name, "adapter", opened.base, opened.languages, source.prompt),
        **adapter.keys_of(lora),
    }
    with _unfinished(wish) as path:
        write(path, lora.family.architecture, keys, lora.tensors, adapter.reader(lora))
        written = time.monotonic()
        found = None
        if can_prove(wish.prove) and has_room(opened, path.stat().st_size):
            longest = longest_prompt(lora.family.context(lora.config))
            with _base_file(opened, wish, over) as base:
                limit = limit_over(base, wish.type, halves=lora.family.halves)
                found = prove(opened, base, limit, longest, path)
    _record(opened, wish, "gguf-adapter", found)
    times = written - begun, time.monotonic() - written
    return _done(wish, len(lora.tensors), 0, found, times)


def _fill(
    path: Path, opened: Opened, planned: model.Plan, weights: Weights, *, prove: bool
) -> None:
    """Write a model's file; with ``prove`` its vocabulary is tried on llama.cpp before."""
    source = opened.source
    tokenizer = tokenizer_of(source.base)
    asked = texts.all_texts(prompts.style(source.prompt, tokenizer))
    way = vocabulary_of(tokenizer, planned.rows, source.base.folder, asked, prove=prove)
    keys = {
        **general(opened.name, "model", opened.base, opened.languages, source.prompt),
        **model.keys_of(planned),
        **way.keys,
    }
    if opened.asks:
        keys["tokenizer.chat_template"] = chat_template(source.prompt, tokenizer)
    write(path, planned.family.architecture, keys, planned.tensors, model.reader(planned, weights))


def _planned(opened: Opened, type: str) -> tuple[model.Plan, Weights]:
    source = opened.source
    config = config_of(source.base)
    family = family_of(config, source.base.id)
    weights = opened.weights()
    if getattr(weights, "rows", None) is not None:
        raise ConfigError(
            f"{source.adapters[0].folder} changes how many tokens the base has",
            "merge it first (bactrian export merged), and write that folder as GGUF",
        )
    return model.plan(family, config, weights, type), weights


def _lora(opened: Opened, type: str) -> adapter.Lora:
    if type not in ADAPTER_TYPES:
        raise ConfigError(
            f"an adapter's file is written as {' or '.join(ADAPTER_TYPES)}, not as {type}",
            "leave --type out for f16: the file is small anyway",
        )
    config = config_of(opened.source.base)
    family = family_of(config, opened.source.base.id)
    return adapter.lora_of(opened.source, family, config, type)


def _check_place(wish: Wish, size: int) -> None:
    if wish.to.suffix != ".gguf":
        raise ConfigError(f"{wish.to} does not end in .gguf", "name a file: --to NAME.gguf")
    if wish.to.exists() and not wish.overwrite:
        raise ConfigError(f"{wish.to} exists already", "name another --to, or add --overwrite")
    check_room(wish.to.parent, size)


@contextmanager
def _unfinished(wish: Wish) -> Iterator[Path]:
    """Yield the path to write to; the record of a file that is replaced goes with it."""
    with writing(wish.to), atomic(wish.to) as path:
        yield path
        exported.beside(wish.to).unlink(missing_ok=True)


@contextmanager
def _base_file(opened: Opened, wish: Wish, over: Path | None) -> Iterator[Path]:
    """Give a file of the base to lay the adapter over, written for that alone where none is."""
    if over is not None:
        _check_bare(over)
        yield over
        return
    source = opened.source
    bare = Opened(Source(source.base, (), source.prompt), (), False, source.base.id)
    with TemporaryDirectory(dir=wish.to.absolute().parent, prefix=".bactrian-") as folder:
        path = Path(folder) / "base.gguf"
        planned, weights = _planned(bare, "f32")
        check_room(wish.to.parent, bytes_of(planned.tensors, planned.rows))
        _fill(path, bare, planned, weights, prove=True)
        yield path


def _check_bare(over: Path) -> None:
    """Raise ConfigError for a file whose record says that an adapter is in it already."""
    record = exported.read(over)
    if record is not None and record.parts:
        raise ConfigError(
            f"{over} has the adapter {record.parts[0].name} in it already",
            "name a file of the base alone: bactrian export gguf --base-only --base BASE",
        )


def _done(
    wish: Wish, tensors: int, kept_back: int, found: Proof | None, times: tuple[float, float]
) -> Done:
    return Done(
        wish.to, wish.to.stat().st_size, tensors, wish.type, kept_back, found, *times
    )  # fmt: skip


def _record(opened: Opened, wish: Wish, kind: str, found: Proof | None) -> None:
    record = opened.record(kind, wish.type, wish.command, found.facts() if found else {})
    exported.write(record, exported.beside(wish.to))
