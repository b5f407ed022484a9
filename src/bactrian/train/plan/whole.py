"""The order of a whole training, known before its first step.

A plan is a function of the rows' lengths, their languages and a Shape. Its unit is the optimizer
step, the same for any number of processes; going on after a stop is one integer. Knows nothing of
tokens, models or devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bactrian.errors import DataError
from bactrian.train.plan.counts import Counts
from bactrian.train.plan.dealing import deal
from bactrian.train.plan.sampling import Sampling, Share, sampling
from bactrian.train.plan.shape import Shape
from bactrian.train.plan.steps import compose
from bactrian.train.plan.stretch import Data, Stretch, Stretches, count, divide

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Plan:
    """Every optimizer step of a training, in order; of one adapter, or of several at once."""

    steps: int
    epoch_steps: int
    """Steps of an epoch (of several adapters: of the one that trains the longest)."""
    shape: Shape
    shares: tuple[Share, ...]
    """What an epoch draws of each language (of several adapters: one adapter after the other)."""
    data: Data
    stretches: Stretches
    """Epochs, or stretches of a joint plan; the one in use is in memory."""
    firsts: Rows
    """First row of each adapter, int32 [adapters]; one adapter begins at 0."""

    def step(self, step: int) -> list[Rows]:
        """Return the micro-batches of a step, each int32 [rows]; the longest rows come first.

        So what takes the most memory is tried at the beginning of a step, not at its end.
        """
        stretch, place = self._at(step)
        return stretch.micro_batches(place)

    def rows_of(self, step: int) -> Rows:
        """Return all rows of a step, int32 [rows]."""
        stretch, place = self._at(step)
        return stretch.rows_of(place)

    def part(self, step: int, rank: int, world: int) -> list[Rows]:
        """Return the micro-batches of one of ``world`` processes.

        Every process has as many, filled up with empty ones; together they have those of ``step``,
        and nearly the same tokens to compute (the price of attention grows faster than that, but
        at these lengths the layers cost far more).
        """
        micro_batches = self.step(step)
        mine = deal([self.computed(rows) for rows in micro_batches], world)[rank]
        places = -(-len(micro_batches) // world)
        empty = [np.empty(0, dtype=np.int32)] * (places - len(mine))
        return [*(micro_batches[index] for index in mine), *empty]

    def computed(self, rows: Rows) -> int:
        """Return the tokens that a micro-batch of these rows computes, padding counted."""
        if self.shape.packing:
            return int(self.data.lengths[rows].sum())
        return len(rows) * int(self.data.parts[rows].max(axis=0).sum())

    def adapters_of(self, step: int, micro: int) -> Rows:
        """Return the adapter of each row of a micro-batch, int32 [rows], never decreasing."""
        found = np.searchsorted(self.firsts, self.step(step)[micro], side="right") - 1
        return found.astype(np.int32)

    def epoch_at(self, step: int) -> float:
        """Return the epochs that are done before a step."""
        return step / self.epoch_steps

    @cached_property
    def total(self) -> Counts:
        """What the whole training computes; walks through all of it once."""
        stretches = range(math.ceil(self.steps / self.stretches.size))
        found = [self.counts(index) for index in stretches]
        return sum(found[1:], start=found[0])

    def counts(self, index: int) -> Counts:
        """Return what one epoch (of several adapters: one stretch) computes, as far as it goes."""
        stretch, first = self.stretches.get(index), index * self.stretches.size
        left = self.steps - first
        cut = Stretch(stretch.rows[:left], stretch.groups[:left])
        return count(cut, self.data, first, packing=self.shape.packing)

    def _at(self, step: int) -> tuple[Stretch, int]:
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a plan of {self.steps}")
        return self.stretches.at(step)


def plan(
    lengths: npt.NDArray[np.integer],
    languages: npt.NDArray[np.integer],
    names: Sequence[str],
    shape: Shape,
) -> Plan:
    """Return the order in which rows are trained on; nothing of it is built yet.

    ``lengths`` are tokens, [rows], or [rows, parts] where parts of a row are padded apart (source
    and target of an encoder-decoder); ``languages`` [rows] are indices into ``names``. Raises
    DataError where there are no rows, a row is empty or a language has none.
    """
    parts = np.asarray(lengths, dtype=np.int32)
    parts = parts if parts.ndim > 1 else parts[:, None]
    totals = parts.sum(axis=1, dtype=np.int32)
    _check(totals, languages)
    drawn = sampling(languages, names, shape)
    data = Data(parts, totals, np.asarray(languages, dtype=np.int16), tuple(names))
    epoch_steps = _epoch_steps(data, drawn, shape)
    epochs = Epochs(data, drawn, shape, epoch_steps)
    # rounded: 2.01 epochs of 100 steps are 201 of them, whatever the float says
    steps = max(1, math.ceil(round(shape.epochs * epoch_steps, 6)))
    steps = min(steps, shape.max_steps or steps)
    made = Stretches(epoch_steps, epochs.build)
    return Plan(steps, epoch_steps, shape, drawn.shares, data, made, np.zeros(1, dtype=np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Epochs:
    """What the epochs of a plan are built from."""

    data: Data
    sampling: Sampling
    shape: Shape
    steps: int

    def build(self, epoch: int) -> Stretch:
        """Return the steps of an epoch; no other epoch is looked at."""
        drawn = self.sampling.draw(epoch)
        rows = compose(drawn, self.data.parts, self.steps, self.shape.seed, epoch)
        return divide(rows, self.data, self.shape)


def _epoch_steps(data: Data, drawn: Sampling, shape: Shape) -> int:
    """Return steps of an epoch: the fewest that keep to the batch, but none without a row."""
    if shape.batch_rows:
        return -(-drawn.epoch_rows // shape.batch_rows)
    tokens = np.bincount(data.languages, data.lengths, minlength=len(data.names)).tolist()
    told = zip(tokens, drawn.shares, strict=True)
    # fractions: a rounded sum could end on the other side of a whole step
    epoch = sum(Fraction(int(count) * share.drawn, share.rows) for count, share in told)
    return min(math.ceil(epoch / shape.batch_tokens), drawn.epoch_rows)


def _check(lengths: Rows, languages: npt.NDArray[np.integer]) -> None:
    if not len(lengths):
        raise DataError("no rows to train on", "build the dataset first, or look at its rejections")
    if len(lengths) != len(languages):
        raise DataError(
            f"{len(lengths)} lengths, but languages of {len(languages)} rows",
            "prepare the rows anew",
        )
    if lengths.min() < 1:
        raise DataError(f"row {int(lengths.argmin())} has no tokens", "prepare the rows anew")
