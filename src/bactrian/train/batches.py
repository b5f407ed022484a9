"""Rows become the tensors of a micro-batch. Knows nothing of plans, models or devices.

Only positions with a loss are named: their places in the flattened hidden states, the tokens that
are to follow, and whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bactrian.train.prepared import Prepared

Ints = npt.NDArray[np.integer]
UNIT = 128
"""Packed rows have a multiple of so many tokens, the last of them in a document that nobody reads:
kernels are made, and kept, for every number of tokens."""
Micro = dict[str, Any]
"""``input_ids`` [rows, length] (packed: [1, tokens] with ``position_ids`` and ``documents``, the
lengths of the rows in it); ``at`` [n] places in the flattened hidden states; ``targets`` [n] the
tokens that follow them; ``row_of`` [n] the row of the micro-batch. An encoder-decoder has
``attention_mask`` and ``decoder_input_ids`` besides."""


def collate(prepared: Prepared, rows: Sequence[int] | Ints, *, packing: bool = False) -> Micro:
    """Return the micro-batch of some rows of a causal model, padded on the right or packed.

    The last token of a row has nothing to predict and is not sent; without rows it is a row of one
    token that has no target, for a process that has to keep step.
    """
    found = [prepared.row(int(index))[0] for index in rows]
    if not found:
        return _nothing()
    firsts = prepared.firsts[np.asarray(rows, dtype=np.int64)]
    lengths = np.array([len(tokens) - 1 for tokens in found])
    counts = lengths + 1 - firsts
    if packing:
        begins = np.cumsum(lengths) - lengths
        blank = [np.zeros(-int(lengths.sum()) % UNIT, dtype=np.int64)]
        ids = np.concatenate([*(tokens[:-1] for tokens in found), *blank]).astype(np.int64)[None]
    else:
        begins = np.arange(len(found)) * lengths.max()
        ids = np.zeros((len(found), int(lengths.max())), dtype=np.int64)
        for row, tokens in enumerate(found):
            ids[row, : len(tokens) - 1] = tokens[:-1]
    micro = _scored(found, firsts, begins + firsts - 1, counts) | {"input_ids": _tensor(ids)}
    if packing:
        documents = [*lengths.tolist(), *filter(None, map(len, blank))]
        positions = np.concatenate([np.arange(length) for length in documents])
        micro |= {"position_ids": _tensor(positions[None]), "documents": documents}
    return micro


def collate_pairs(prepared: Prepared, rows: Sequence[int] | Ints, *, start: int, pad: int) -> Micro:
    """Return the micro-batch of some rows of an encoder-decoder; ``start`` begins every answer."""
    found = [prepared.row(int(index)) for index in rows]
    if not found:
        one = torch.full((1, 1), start)
        return _nothing() | {"attention_mask": torch.ones_like(one), "decoder_input_ids": one}
    sources = [tokens[:prompt] for tokens, prompt, _ in found]
    targets = [tokens[prompt:] for tokens, prompt, _ in found]
    longest = max(map(len, targets))
    heard = np.full((len(found), max(map(len, sources))), pad, dtype=np.int64)
    said = np.full((len(found), longest), pad, dtype=np.int64)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        heard[row, : len(source)] = source
        said[row, : len(target)] = [start, *target[:-1]]
    sizes = np.array([len(source) for source in sources])
    counts = np.array([len(target) for target in targets])
    nothing = np.zeros(len(found), dtype=np.int64)
    return _scored(targets, nothing, np.arange(len(found)) * longest, counts) | {
        "input_ids": _tensor(heard),
        "attention_mask": _tensor((np.arange(heard.shape[1]) < sizes[:, None]).astype(np.int64)),
        "decoder_input_ids": _tensor(said),
    }


def _scored(rows: Sequence[Ints], firsts: Ints, places: Ints, counts: Ints) -> Micro:
    """Return what has a loss: ``counts`` tokens of each row from ``firsts`` on, at ``places``."""
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
    tokens = [row[first:] for row, first in zip(rows, firsts, strict=True)]
    return {
        "at": _tensor(np.repeat(places, counts) + within),
        "targets": _tensor(np.concatenate(tokens)),
        "row_of": _tensor(np.repeat(np.arange(len(rows)), counts)),
    }


def _nothing() -> Micro:
    none = torch.zeros(0, dtype=torch.int64)
    ids = torch.zeros((1, 1), dtype=torch.int64)
    return {"input_ids": ids, "at": none, "targets": none, "row_of": none}


def _tensor(values: Ints) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))
