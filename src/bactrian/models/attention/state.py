"""What the layers of one model share while our attention is in it. Knows nothing of models.

Plain state on an object, and no context variable: with gradient checkpointing the layers run again
in the backward pass, on CUDA in a thread of autograd's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from bactrian.models.attention import trees as in_trees
from bactrian.models.attention.scores import Documents, Scores
from bactrian.models.attention.trees import Kernel, Trees
from bactrian.models.attention.ways import Way


class Attention:
    """How a model's attention is computed, and of which documents the row at hand is made."""

    def __init__(
        self,
        ways: tuple[Way, ...] = (),
        fast: bool = False,
        packs: bool = False,
        why: str = "",
    ) -> None:
        """Take what a test of the kernels found; without it nothing is fast, nothing packs."""
        self.ways = ways
        """Kernels in use; the first that takes a call does it."""
        self.fast = fast
        """Whether our kernels are in use."""
        self.packs = packs
        """Whether packed rows give what each document gives alone."""
        self.why = why
        """A sentence on what is not so, empty where all is."""
        self.own = "eager"
        """What transformers calls the attention that ours stands in for."""
        self.calls = 0
        """Calls that our kernels did."""
        self.windows: set[int] = set()
        """Windows that layers told of when they asked."""
        self.untold: set[int] = set()
        """Windows of the masks that were not made, because the layers would tell of them."""
        self.tree_kernel: Kernel = in_trees.attend
        """What computes rows of trees; the kernels of ``ways`` never see one."""
        self._documents: Documents | None = None
        self._trees: Trees | None = None

    @property
    def packed(self) -> bool:
        """Whether the row at hand is a packed one."""
        return self._documents is not None or self._trees is not None

    @contextmanager
    def documents(self, lengths: Sequence[int] | None) -> Iterator[None]:
        """Tell what the rows are, around the forward and the backward pass of a micro-batch.

        None: rows [rows, length], padded on the right, with no mask. ``lengths``: one row
        [1, sum of lengths] of documents one after the other, with position_ids that begin at 0 for
        each. Raises ValueError where the model cannot take packed rows.
        """
        if lengths is not None and not self.packs:
            raise ValueError(f"packed rows are not exact for this model: {self.why}")
        with self.row_of(lengths):
            yield

    @contextmanager
    def row_of(self, lengths: Sequence[int] | None) -> Iterator[None]:
        """Do as ``documents``, whether the model is known to pack or not."""
        before = self._documents
        self._documents = None if lengths is None else Documents(lengths)
        try:
            yield
        finally:
            self._documents = before

    @contextmanager
    def trees(self, told: Trees) -> Iterator[None]:
        """Tell that the row [1, tokens] is made of trees, with depths as position_ids."""
        before = self._trees
        self._trees = told
        try:
            yield
        finally:
            self._trees = before

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores
    ) -> torch.Tensor:
        """Return the mixed values [rows, length, heads, width].

        ``query`` [rows, heads, length, width], ``key`` and ``value`` [rows, key heads, length,
        width]. Raises ValueError where the row is not made of the documents or trees told.
        """
        documents = self._documents
        told = self._trees or documents
        if told is not None and (query.shape[0], query.shape[2]) != (1, told.tokens):
            raise ValueError(
                f"{query.shape[0]} rows of {query.shape[2]} tokens, "
                f"but the documents told make one row of {told.tokens}"
            )
        query, key, value = _of_one_type(query, key, value)
        self.calls += 1
        if scores.window is not None:
            self.windows.add(scores.window)
        if self._trees is not None:
            return self.tree_kernel(query, key, value, scores, self._trees)
        way = next(way for way in self.ways if way.handles(query, key, value, scores, documents))
        return way.attend(query, key, value, scores, documents)


def _of_one_type(*states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the states as autocast has them, or as the values are."""
    kind, device = states[-1].dtype, states[-1].device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
    return tuple(state.to(kind) for state in states)
