"""Evaluation beyond one device: actors of a Ray cluster, or the processes of torchrun.

One process, the first, reads the questions, plans the batches and writes every result; all others
load the base and its adapters once, and compute what they are given. Batches are those of one
device, so the store gets the same rows whoever computed them and in whatever order they came.
"""

from __future__ import annotations

from bactrian.evaluate.spread.crew import Crew, Done, Unit
from bactrian.evaluate.spread.engines import Engine, over_processes, over_ray, work

__all__ = ["Crew", "Done", "Engine", "Unit", "over_processes", "over_ray", "work"]
