"""Deals the micro-batches of a step to processes. Knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Sequence


def deal(costs: Sequence[int], world: int) -> list[list[int]]:
    """Return which micro-batches each process takes: even in cost, none more than its equal part.

    The dearest first, each to the process with the least to do that has a place left.
    """
    places = -(-len(costs) // world)
    dealt: list[list[int]] = [[] for _ in range(world)]
    load = [0] * world
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        open_ranks = (rank for rank in range(world) if len(dealt[rank]) < places)
        rank = min(open_ranks, key=lambda rank: load[rank])
        dealt[rank].append(index)
        load[rank] += costs[index]
    return dealt
