"""Several adapters trained in one run over one base.

Step t holds step t of every adapter that has one, so each adapter sees the rows, the steps and the
order that it would see alone; only the micro-batches are shared. Knows nothing of adapters but
where their rows begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from bactrian.errors import ConfigError
from bactrian.train.plan.shape import Shape
from bactrian.train.plan.steps import HOLE, alike
from bactrian.train.plan.stretch import Data, Stretch, Stretches, divide
from bactrian.train.plan.whole import Plan

STRETCH = 64
"""Steps built together: as a whole they are divided faster than one by one."""

Rows = npt.NDArray[np.int32]


def joint(plans: Sequence[Plan], offsets: Sequence[int]) -> Plan:
    """Return the plan of all adapters; row r of adapter a is row ``offsets[a]`` + r of the run.

    ``offsets`` grow, and leave room for the rows of each. Raises ConfigError where the plans
    divide their steps in different ways.
    """
    shapes = [plan.shape for plan in plans]
    ways = {(shape.micro_batch_tokens, shape.packing, shape.processes) for shape in shapes}
    if len(ways) != 1:
        raise ConfigError(
            f"{len(plans)} adapters in one run, cut into micro-batches in {len(ways)} ways",
            "give all of them the same micro_batch_tokens, packing and processes",
        )
    firsts = np.asarray(offsets, dtype=np.int32)
    longest = max(plans, key=lambda plan: plan.steps)
    data = _data(plans, firsts)
    built = Stretches(STRETCH, _Adapters(tuple(plans), firsts, data, longest.shape).build)
    shares = tuple(chain.from_iterable(plan.shares for plan in plans))
    return Plan(longest.steps, longest.epoch_steps, longest.shape, shares, data, built, firsts)


@dataclass(frozen=True, slots=True, eq=False)
class _Adapters:
    """What the stretches of a joint plan are built from."""

    plans: tuple[Plan, ...]
    firsts: Rows
    data: Data
    shape: Shape

    def build(self, index: int) -> Stretch:
        last = max(plan.steps for plan in self.plans)
        steps = range(index * STRETCH, min((index + 1) * STRETCH, last))
        found = [self._step(step) for step in steps]
        rows = np.full((len(found), max(map(len, found))), HOLE, dtype=np.int32)
        for place, mine in enumerate(found):
            rows[place, : len(mine)] = mine
        whole = divide(rows, self.data, self.shape)
        by_adapter = np.argsort(self._adapters(rows), axis=1, kind="stable")
        return Stretch(
            np.take_along_axis(whole.rows, by_adapter, axis=1),
            np.take_along_axis(whole.groups, by_adapter, axis=1),
        )

    def _step(self, step: int) -> Rows:
        """Return the rows of all adapters, longest first."""
        told = zip(self.plans, self.firsts, strict=True)
        mine = [plan.rows_of(step) + first for plan, first in told if step < plan.steps]
        rows = np.concatenate(mine)
        rows = rows[np.argsort(-self.data.lengths[rows], kind="stable")]
        return alike(rows, self.data.parts, len(rows))

    def _adapters(self, rows: Rows) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.firsts, rows, side="right")


def _data(plans: Sequence[Plan], firsts: Rows) -> Data:
    """Return what is known of all rows; raises ValueError where two adapters share a row."""
    ends = [first + len(plan.data.lengths) for plan, first in zip(plans, firsts, strict=True)]
    if any(end > first for end, first in zip(ends, [*firsts[1:], ends[-1]], strict=True)):
        raise ValueError(f"offsets {firsts.tolist()} leave too little room for the rows")
    names = tuple(dict.fromkeys(chain.from_iterable(plan.data.names for plan in plans)))
    parts = np.zeros((ends[-1], plans[0].data.parts.shape[1]), dtype=np.int32)
    languages = np.zeros(ends[-1], dtype=np.int16)
    for plan, first, end in zip(plans, firsts, ends, strict=True):
        parts[first:end] = plan.data.parts
        ours = np.array([names.index(name) for name in plan.data.names], dtype=np.int16)
        languages[first:end] = ours[plan.data.languages]
    return Data(parts, parts.sum(axis=1, dtype=np.int32), languages, names)
