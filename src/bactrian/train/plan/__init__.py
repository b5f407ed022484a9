"""The order of training, as a function of lengths, languages and a Shape.

>>> planned = plan(prepared.lengths, prepared.languages, prepared.names, shape)
>>> planned.steps, planned.total.padding
>>> for step in range(resumed, planned.steps):
...     for rows in planned.part(step, rank, world):
...         ...

An epoch is drawn (``sampling``), dealt to optimizer steps (``steps``), and each step is cut into
micro-batches (``padding`` or ``packing``).
"""

from bactrian.train.plan.counts import Counts, Extent
from bactrian.train.plan.joint import joint
from bactrian.train.plan.sampling import Share, quotas
from bactrian.train.plan.shape import Shape
from bactrian.train.plan.whole import Plan, plan

__all__ = ["Counts", "Extent", "Plan", "Shape", "Share", "joint", "plan", "quotas"]
