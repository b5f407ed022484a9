"""Token ids on disk: one Arrow file a language, written as a stream, read where it lies.

A file is whole or absent. Its name holds the key of what it was made from, its last batch holds
the counts; what lacks either, or does not agree with them, is not used and made anew. Knows
nothing of tokenizers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bactrian.files import atomic
from bactrian.train.encoding import Encoded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

LAYOUT = 1
"""Raised when files are laid out in another way than before."""
ABOUT = b"bactrian"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a file says of the rows that went into it."""

    read: int = 0
    """Rows that came in: rows + too_long + empty."""
    rows: int = 0
    """Rows that are kept."""
    tokens: int = 0
    largest: int = -1
    """Largest id."""
    shortened: int = 0
    """Rows kept that were cut to fit."""
    too_long: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class Blocks:
    """The rows of one file: ids stay on disk, a block a record batch; the rest is in memory."""

    ids: tuple[np.ndarray[Any, Any], ...]
    """Ids of each block, int32 [tokens], read-only views of the mapped file."""
    rows: tuple[int, ...]
    """Rows of each block."""
    lengths: np.ndarray[Any, Any]
    """Tokens of each row, int32 [rows]."""
    prompts: np.ndarray[Any, Any]
    """Tokens of each row's prompt, int32 [rows]."""
    counts: Counts


def write(path: Path, key: str, groups: Iterable[Encoded]) -> Counts:
    """Write the groups, a record batch each, whole or not at all; return the counts.

    Raises RunError when the disk is full.
    """
    import pyarrow as pa

    counts = Counts()
    schema = _schema(key)
    with (
        atomic(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_file(sink, schema) as file,
    ):
        for group in groups:
            counts = _added(counts, group)
            if len(group.lengths):
                file.write_batch(_batch(group, schema))
        closing = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
        file.write_batch(closing, custom_metadata={ABOUT: orjson.dumps(asdict(counts))})
    return counts


def read(path: Path, key: str) -> Blocks | None:
    """Return the rows of a file, memory-mapped, or None where it is absent, cut or another's."""
    import pyarrow as pa

    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        if not file.schema.equals(_schema(key), check_metadata=True):
            return None
        batches = [file.get_batch(place) for place in range(file.num_record_batches - 1)]
        _, about = file.get_batch_with_custom_metadata(file.num_record_batches - 1)
        counts = Counts(**orjson.loads(about[ABOUT]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, IndexError):
        return None
    found = _blocks(batches, counts)
    whole = len(found.lengths) == counts.rows and int(found.lengths.sum()) == counts.tokens
    return found if whole else None


def _added(counts: Counts, group: Encoded) -> Counts:
    fates = Counter(group.fates)
    kept = len(group.lengths)
    assert kept == fates["whole"] + fates["shortened"], "every row has one fate"
    return Counts(
        read=counts.read + len(group.fates),
        rows=counts.rows + kept,
        tokens=counts.tokens + len(group.ids),
        largest=max(counts.largest, int(group.ids.max()) if kept else -1),
        shortened=counts.shortened + fates["shortened"],
        too_long=counts.too_long + fates["too_long"],
        empty=counts.empty + fates["empty"],
    )


def _schema(key: str) -> pa.Schema:
    import pyarrow as pa

    told = orjson.dumps({"layout": LAYOUT, "key": key})
    return pa.schema(
        [pa.field("ids", pa.list_(pa.int32())), pa.field("prompt", pa.int32())],
        metadata={ABOUT: told},
    )


def _batch(group: Encoded, schema: pa.Schema) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(group.lengths) + 1, dtype=np.int32)
    np.cumsum(group.lengths, out=offsets[1:])
    ids = pa.ListArray.from_arrays(pa.array(offsets), pa.array(group.ids))
    return pa.record_batch([ids, pa.array(group.prompts)], schema=schema)


def _blocks(batches: list[pa.RecordBatch], counts: Counts) -> Blocks:
    import numpy as np

    none = [np.empty(0, dtype=np.int32)]
    lists = [batch.column(0) for batch in batches]
    lengths = [np.diff(found.offsets.to_numpy(zero_copy_only=True)) for found in lists]
    prompts = [batch.column(1).to_numpy(zero_copy_only=True) for batch in batches]
    return Blocks(
        ids=tuple(found.values.to_numpy(zero_copy_only=True) for found in lists),
        rows=tuple(len(batch) for batch in batches),
        lengths=np.concatenate(none + lengths),
        prompts=np.concatenate(none + prompts),
        counts=counts,
    )
