"""The rows of several adapters as those of one training, one adapter after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from bactrian.train.prepared import Prepared, Tokens


def joined(several: Sequence[Prepared]) -> Prepared:
    """Return all rows by one index; a language that two adapters learn is there twice."""
    if len(several) == 1:
        return several[0]
    names = tuple(dict.fromkeys(chain.from_iterable(one.names for one in several)))
    blocks = np.cumsum([0, *(len(one.tokens.blocks) for one in several)])
    renamed = [
        np.array([names.index(name) for name in one.names], dtype=np.int16)[one.languages]
        for one in several
    ]
    return replace(
        several[0],
        names=names,
        languages=np.concatenate(renamed),
        prompts=np.concatenate([one.prompts for one in several]),
        lengths=np.concatenate([one.lengths for one in several]),
        tokens=Tokens(
            list(chain.from_iterable(one.tokens.blocks for one in several)),
            list(chain.from_iterable(one.tokens.files for one in several)),
        ),
        block=np.concatenate(
            [one.block + first for one, first in zip(several, blocks, strict=False)]
        ).astype(np.int32),
        begin=np.concatenate([one.begin for one in several]),
        too_long={},
        shortened={},
        empty={},
        key="",
    )
