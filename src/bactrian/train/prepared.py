"""The rows of a training as token ids: a view over memory-mapped files of several languages.

Ids are read where they lie, so memory does not grow with them; 34 bytes a row are kept beside.
Knows nothing of tokenizers, batches or devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bactrian.errors import DataError
from bactrian.table import hash_of
from bactrian.train import cache
from bactrian.train.encoding import Encoded

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class File:
    """Where the ids of one language lie."""

    language: str
    path: Path
    key: str
    """Hash of everything they follow from."""


class Tokens:
    """The ids of all rows in blocks; a copy in another process opens the same files again."""

    def __init__(self, blocks: Sequence[np.ndarray[Any, Any]], files: Sequence[File]) -> None:
        self.blocks = tuple(blocks)
        self.files = tuple(files)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.files:
            return _reopened, (self.files,)
        return Tokens, (self.blocks, ())


@dataclass(frozen=True, slots=True)
class Prepared:
    """All rows of a training or an evaluation, by one index over all languages."""

    names: tuple[str, ...]
    """Languages, by code."""
    languages: np.ndarray[Any, Any]
    """Index of each row's language in ``names``, int16 [rows]."""
    prompts: np.ndarray[Any, Any]
    """Tokens of each row's prompt (of an encoder-decoder: source), int32 [rows]."""
    lengths: np.ndarray[Any, Any]
    """Tokens of each row, prompt, response and EOS together, int32 [rows]."""
    too_long: Mapping[str, int]
    """Rows left out because they do not fit the limits, by language."""
    shortened: Mapping[str, int]
    """Rows cut to fit, by language."""
    empty: Mapping[str, int]
    """Rows left out because they have no response to learn, by language."""
    tokens: Tokens
    block: np.ndarray[Any, Any]
    """Block in which each row lies, int32 [rows]."""
    begin: np.ndarray[Any, Any]
    """Where in its block each row begins, int64 [rows]."""
    train_on_inputs: bool = False
    """Every token but the first has a loss, instead of the response's alone."""
    encoder_decoder: bool = False
    """Prompt and response are read by two parts of the model."""
    key: str = ""
    """Hash of everything the rows follow from; empty where they were never on disk."""
    firsts: np.ndarray[Any, Any] = field(init=False)
    """Position of each row's first token with a loss, int32 [rows].

    Before the first token of a causal model's row there is nothing to predict it from; a decoder
    has its start token.
    """

    def __len__(self) -> int:
        return len(self.lengths)

    def __post_init__(self) -> None:
        import numpy as np

        firsts = self.prompts
        if not self.encoder_decoder:
            firsts = np.ones_like(firsts) if self.train_on_inputs else np.maximum(firsts, 1)
        object.__setattr__(self, "firsts", firsts)  # asked for with every batch

    @property
    def targets(self) -> np.ndarray[Any, Any]:
        """Tokens of each row that have a loss, int32 [rows]."""
        targets: np.ndarray[Any, Any] = self.lengths - self.firsts
        return targets

    def row(self, index: int) -> tuple[np.ndarray[Any, Any], int, int]:
        """Return (token ids, tokens of the prompt, language) of one row; ids are read-only."""
        begin = int(self.begin[index])
        ids = self.tokens.blocks[self.block[index]][begin : begin + int(self.lengths[index])]
        return ids, int(self.prompts[index]), int(self.languages[index])


def open_files(
    files: Sequence[File], *, train_on_inputs: bool = False, encoder_decoder: bool = False
) -> Prepared:
    """Return the rows of the files, one language after the other.

    Raises DataError where a file is not there, is cut, or was made from something else.
    """
    import numpy as np

    opened = {file.language: _opened(file) for file in files}
    assert len(opened) == len(files), "one file a language"
    names = tuple(code for code, found in opened.items() if found.counts.rows)
    kept = [opened[code].counts.rows for code in names]
    lengths = _joined([found.lengths for found in opened.values()])
    blocks = [ids for found in opened.values() for ids in found.ids]
    block, begin = _laid_out(blocks, [n for found in opened.values() for n in found.rows], lengths)
    return Prepared(
        names=names,
        languages=np.repeat(np.arange(len(names), dtype=np.int16), kept),
        prompts=_joined([found.prompts for found in opened.values()]),
        lengths=lengths,
        too_long=_told(opened, "too_long"),
        shortened=_told(opened, "shortened"),
        empty=_told(opened, "empty"),
        tokens=Tokens(blocks, files),
        block=block,
        begin=begin,
        train_on_inputs=train_on_inputs,
        encoder_decoder=encoder_decoder,
        key=hash_of([file.key for file in files], train_on_inputs),
    )


def in_memory(
    groups: Sequence[Encoded],
    codes: Sequence[str],
    too_long: Mapping[str, int],
    empty: Mapping[str, int],
) -> Prepared:
    """Return the rows of groups that were not shortened; ``codes`` are the languages of the rows.

    Languages may stand in any order, and are named in the order of their first rows.
    """
    import numpy as np

    names = {code: place for place, code in enumerate(dict.fromkeys(codes))}
    lengths = _joined([group.lengths for group in groups])
    blocks = [group.ids for group in groups]
    block, begin = _laid_out(blocks, [len(group.lengths) for group in groups], lengths)
    return Prepared(
        names=tuple(names),
        languages=np.array([names[code] for code in codes], dtype=np.int16),
        prompts=_joined([group.prompts for group in groups]),
        lengths=lengths,
        too_long=too_long,
        shortened={},
        empty=empty,
        tokens=Tokens(blocks, ()),
        block=block,
        begin=begin,
    )


def _laid_out(
    blocks: Sequence[np.ndarray[Any, Any]], rows: Sequence[int], lengths: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return for each row its block, int32 [rows], and where in it it begins, int64 [rows]."""
    import numpy as np

    block = np.repeat(np.arange(len(blocks), dtype=np.int32), np.array(rows, dtype=np.int64))
    before = np.cumsum([0, *(len(ids) for ids in blocks)], dtype=np.int64)
    return block, np.cumsum(lengths, dtype=np.int64) - lengths - before[block]


def _opened(file: File) -> cache.Blocks:
    found = cache.read(file.path, file.key)
    if found is None:
        raise DataError(
            f"{file.path} is gone, or is not what was written there",
            "run the same command again: it is made anew",
        )
    return found


def _reopened(files: Sequence[File]) -> Tokens:
    return Tokens([ids for file in files for ids in _opened(file).ids], files)


def _joined(parts: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.concatenate([np.empty(0, dtype=np.int32), *parts])


def _told(opened: Mapping[str, cache.Blocks], what: str) -> dict[str, int]:
    """Return a count by language, of those that have one."""
    counts = {code: int(getattr(found.counts, what)) for code, found in opened.items()}
    return {code: count for code, count in counts.items() if count}
