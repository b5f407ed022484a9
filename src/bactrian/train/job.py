"""One training run: which adapters learn from which rows, and what a step of it is made of.

One adapter, or several in one pass over the base: each sees the rows, the steps and the order that
it would see alone. Knows nothing of models or devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from bactrian.train.batches import Micro, collate, collate_pairs
from bactrian.train.joined import joined
from bactrian.train.plan import Plan, joint
from bactrian.train.prepared import Prepared
from bactrian.train.processes import Processes

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Pairs:
    """What the batches of an encoder-decoder are filled with."""

    start: int
    """Token that begins every answer."""
    pad: int


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One adapter of a run: its rows and their order, as if it were alone."""

    name: str
    prepared: Prepared
    plan: Plan


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a run, whose they are, and how they become batches."""

    members: tuple[tuple[str, Prepared], ...]
    """Adapters and their rows."""
    packing: bool = False
    pairs: Pairs | None = None
    """Set for an encoder-decoder."""
    several: bool = False
    """Whether the model has several adapters; they may be more than have rows here."""

    @cached_property
    def prepared(self) -> Prepared:
        """All rows by one index."""
        return joined([prepared for _, prepared in self.members])

    @cached_property
    def firsts(self) -> Ints:
        """The first row of each adapter, int64 [adapters]."""
        sizes = [len(prepared) for _, prepared in self.members]
        return np.cumsum([0, *sizes[:-1]])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What a loss is told of: languages, with their adapter where there are several."""
        return tuple(
            f"{adapter}/{name}" if self.several else name
            for adapter, prepared in self.members
            for name in prepared.names
        )

    @cached_property
    def label_of(self) -> Ints:
        """Index of each row's label, int64 [rows]."""
        before = np.cumsum([0, *(len(prepared.names) for _, prepared in self.members)])
        told = zip(self.members, before, strict=False)
        parts = [prepared.languages.astype(np.int64) + first for (_, prepared), first in told]
        return np.concatenate(parts)

    @cached_property
    def targets(self) -> Ints:
        """Tokens with a loss of each row, int32 [rows]."""
        return self.prepared.targets

    def adapters_of(self, rows: Ints) -> Ints:
        """Return the adapter of each row, int64 [rows]."""
        return np.searchsorted(self.firsts, rows, side="right") - 1

    def micro(self, rows: Ints, weight_of: Floats | None = None) -> Micro:
        """Return a micro-batch with ``labels_of`` [n], and ``weights`` [n] of each adapter."""
        if self.pairs is not None:
            pairs = self.pairs
            made = collate_pairs(self.prepared, rows, start=pairs.start, pad=pairs.pad)
        else:
            made = collate(self.prepared, rows, packing=self.packing)
        row_of = made.pop("row_of")
        made["labels_of"] = torch.from_numpy(self.label_of[rows])[row_of]
        if weight_of is not None:
            weights = torch.from_numpy(weight_of[self.adapters_of(rows)].astype(np.float32))
            made["weights"] = weights[row_of]
        if self.several:
            made["segments"] = self._segments(rows, made.get("documents"))
        return made

    def _segments(self, rows: Ints, documents: Sequence[int] | None) -> list[tuple[str, int, int]]:
        """Return where the rows (of a packed row: the tokens) of each adapter begin and end."""
        sizes = (
            np.ones(len(rows), dtype=np.int64)
            if documents is None
            else np.array(documents[: len(rows)])
        )
        ends = np.bincount(self.adapters_of(rows), sizes, len(self.members)).cumsum().astype(int)
        begins = [0, *ends[:-1]]
        names = [name for name, _ in self.members]
        told = zip(names, begins, ends, strict=True)
        return [(name, int(begin), int(end)) for name, begin, end in told if end > begin]


@dataclass(frozen=True, eq=False)
class Job:
    """One training run."""

    members: tuple[Member, ...]
    packing: bool = False
    pairs: Pairs | None = None

    @cached_property
    def rows(self) -> Rows:
        """The rows of all adapters."""
        told = tuple((member.name, member.prepared) for member in self.members)
        return Rows(told, self.packing, self.pairs, several=len(told) > 1)

    @cached_property
    def plan(self) -> Plan:
        """The steps of the run."""
        if len(self.members) == 1:
            return self.members[0].plan
        return joint([member.plan for member in self.members], self.rows.firsts.tolist())


class Steps(Dataset[list[Any]]):
    """The micro-batches of each optimizer step, those of one process.

    A token's weight is one over the tokens of its adapter in the whole step, so that the sum over
    micro-batches and processes is the mean, however the step is cut.
    """

    def __init__(self, job: Job, processes: Processes) -> None:
        self.job = job
        self.processes = processes

    def __len__(self) -> int:
        return self.job.plan.steps

    def __getitem__(self, step: int) -> list[Micro]:
        rows, plan = self.job.rows, self.job.plan
        drawn = plan.rows_of(step)
        counts = np.bincount(rows.adapters_of(drawn), rows.targets[drawn], len(self.job.members))
        weight_of = 1 / np.maximum(counts, 1)
        mine = plan.part(step, self.processes.rank, self.processes.world)
        return [rows.micro(micro, weight_of) for micro in mine]
