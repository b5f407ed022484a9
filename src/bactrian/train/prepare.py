"""Rows of several languages become token ids on disk, once; finished languages are not redone.

Rows are read, encoded and written as a stream, so memory does not grow with the data. What a
language becomes is a function of its rows, the tokenizer, the prompt style and the limits; the
same ones find the same file again. Knows nothing of batches.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError
from bactrian.events import track
from bactrian.models.prompts import PromptStyle
from bactrian.schema import Example
from bactrian.table import hash_of
from bactrian.train.cache import Counts, read, write
from bactrian.train.encode_texts import side_by_side
from bactrian.train.encoding import (
    KEPT,
    Encoded,
    Encoder,
    Fate,
    check_room,
    grouped,
    nothing_left,
)
from bactrian.train.prepared import File, Prepared, in_memory, open_files
from bactrian.train.shorten import Limits

__all__ = ["LanguageRows", "Limits", "Prepared", "prepare", "prepare_files"]

AHEAD = 2
"""Groups in the making: while one is inside the Rust encoder, another becomes an array."""


@dataclass(frozen=True, slots=True)
class LanguageRows:
    """The rows of one language, and what they are, for finding them again."""

    code: str
    content: str
    """Hash of the rows; of the part that is read, where not all are."""
    read: Callable[[], Iterator[Example]]
    """Yields the rows from the first on; called only where they are not on disk as ids."""
    rows: int = 0
    """How many there are, for the progress; 0 where that is not known."""


def prepare_files(
    sources: Sequence[LanguageRows],
    encoder: Encoder,
    folder: Path,
    *,
    train_on_inputs: bool = False,
    may_lack: bool = False,
) -> Prepared:
    """Encode every language into a file of its own in ``folder``, and open them all.

    Files that are there already are opened as they are. ``may_lack`` leaves languages without a
    row out instead of refusing. Raises ConfigError for limits that the prompt style alone fills and
    for a tokenizer that is not the base's, DataError for a language of which nothing is left,
    RunError when the disk is full; languages that are finished stay.
    """
    if train_on_inputs and encoder.limits.encoder_decoder:
        raise ConfigError(
            "train.train_on_inputs has no meaning for an encoder-decoder, whose input is not "
            "predicted",
            "leave it out, or use a causal base",
        )
    check_room(encoder)
    files: list[File] = []
    for rows in sources:
        name = hash_of(rows.content, encoder.key)
        file = File(rows.code, folder / f"{rows.code}-{name}.arrow", name)
        counts = _counts(file) or _encoded(rows, encoder, file)
        encoder.check_largest(counts.largest)
        if not counts.rows and not may_lack:
            raise nothing_left(f"{rows.code}: ", counts.too_long, counts.empty, encoder.limits)
        files.append(file)
    found = open_files(
        files, train_on_inputs=train_on_inputs, encoder_decoder=encoder.limits.encoder_decoder
    )
    if not len(found):
        too_long, empty = sum(found.too_long.values()), sum(found.empty.values())
        raise nothing_left("", too_long, empty, encoder.limits)
    return found


def prepare(
    examples: Iterable[Example], tokenizer: Any, style: PromptStyle, max_tokens: int
) -> Prepared:
    """Encode examples in memory; rows come out in the order they came in, long ones are left out.

    Raises ConfigError for a tokenizer without EOS, DataError when nothing is left to train on.
    """
    encoder = Encoder(tokenizer, style, Limits(max_tokens, overlong="refuse"))
    groups, codes = list[Encoded](), list[str]()
    fates = Counter[tuple[str, Fate]]()
    for group in grouped(examples):
        found = encoder.encode(group)
        groups.append(found)
        told = list(zip((example.language for example in group), found.fates, strict=True))
        fates.update(told)
        codes += [code for code, fate in told if fate in KEPT]
    too_long, empty = _by_code(fates, "too_long"), _by_code(fates, "empty")
    if not codes:
        raise nothing_left("", sum(too_long.values()), sum(empty.values()), encoder.limits)
    return in_memory(groups, codes, too_long, empty)


def _counts(file: File) -> Counts | None:
    found = read(file.path, file.key)
    return found.counts if found else None


def _encoded(rows: LanguageRows, encoder: Encoder, file: File) -> Counts:
    drawn = track(rows.read(), f"tokens {rows.code}", rows.rows or None)
    return write(file.path, file.key, _ahead(grouped(drawn), encoder.encode))


def _by_code(fates: Counter[tuple[str, Fate]], asked: Fate) -> dict[str, int]:
    return {code: count for (code, fate), count in fates.items() if fate == asked}


def _ahead(
    groups: Iterable[list[Example]], encode: Callable[[list[Example]], Encoded]
) -> Iterator[Encoded]:
    """Yield the groups encoded, in order, while the next ones are being read and encoded."""
    with side_by_side() as cores:
        if cores == 1:
            yield from map(encode, groups)
            return
        waiting: deque[Future[Encoded]] = deque()
        with ThreadPoolExecutor(AHEAD, "bactrian-encoding") as threads:
            try:
                for group in groups:
                    waiting.append(threads.submit(encode, group))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for left in waiting:
                    left.cancel()
