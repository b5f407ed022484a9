"""The processes that torchrun (or accelerate) started: which one this is, and how they meet.

Knows nothing of models; torch is asked only where there are several.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Processes:
    """One of several that do one piece of work."""

    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this one speaks and writes."""
        return self.rank == 0


def processes() -> Processes:
    """Return what torchrun (or accelerate) told this process; alone where nothing was told."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    return Processes(int(os.environ.get("RANK", "0")), world) if world > 1 else Processes()


def shared_store(name: str) -> Any:
    """Return what all processes see, apart from what else is kept there and from earlier starts.

    torchrun keeps one store over its restarts where it was given a ``--master-port``; what the
    processes of the first start left there would be taken for the second's.
    """
    from torch.distributed import PrefixStore, rendezvous

    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"bactrian {name} {_restarts()}", store)


def join() -> Processes:
    """Meet the other processes: NCCL on GPUs, each process its own, gloo on CPUs.

    Comes before anything is put on a device: without it all processes would take the first GPU.
    """
    found = processes()
    if found.world > 1:
        import torch
        from accelerate import PartialState

        told: dict[str, Any] = {}
        if _restarts():
            told = {"rank": found.rank, "world_size": found.world, "store": shared_store("join")}
        PartialState(cpu=not torch.cuda.is_available(), **told)
    return found


def _restarts() -> int:
    """Return how often torchrun has started these processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
