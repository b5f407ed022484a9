"""What runs beside the first process: a base with its adapters, opened once, that does work.

What it says of itself has to be the same everywhere: numbers of other weights, another precision
or another way of scoring must not meet in one store.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bactrian.cluster import Refused
from bactrian.errors import AdapterError, BactrianError, RunError
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.spread.crew import Computed, Work
from bactrian.events import Event, reading
from bactrian.models.adapters import BASE
from bactrian.models.architecture import Kind
from bactrian.models.base import of
from bactrian.models.scoring.scorers import Name
from bactrian.recipe import Recipe

KINDS = ("decision", "warning")


@dataclass(frozen=True, slots=True)
class Opened:
    """What a loaded base with its adapters says of itself."""

    keys: Mapping[str, str]
    """Name to the hash of what computes the numbers."""
    dtype: str
    quantize: str
    kind: Kind
    device: str
    """``cpu``, ``cuda``: batches follow from it."""
    way: Name
    """How it scores: batches follow from it as well."""
    words: int
    """Rows of its head."""
    stateful: bool
    """Whether padding before a prompt would change its answer."""
    where: str
    """The machine."""
    told: tuple[tuple[str, str], ...] = ()
    """What was said while it was loaded: kind and text."""


class Heard:
    """Keeps what is said while a base is loaded, to be said again where somebody hears it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def see(self, event: Event) -> None:
        """Keep a decision or a warning."""
        if event.kind in KINDS:
            self.told.append((event.kind, str(event.facts["text"])))


def load(recipe: Recipe, adapters: Mapping[str, Path]) -> tuple[Scorers, Opened]:
    """Load the base of a recipe and attach the adapters; raises what loading raises."""
    with reading(heard := Heard()):
        ready = scorers(of(recipe), adapters)
    return ready, opened_of(ready, tuple(heard.told))


def opened_of(ready: Scorers, told: tuple[tuple[str, str], ...] = ()) -> Opened:
    """Return what it says of itself."""
    base, scorer = ready.base, ready.scorer
    weight = scorer.parts.head.linear.weight
    return Opened(
        dict(ready.keys),
        base.dtype,
        base.quantize,
        base.kind,
        weight.device.type,
        scorer.way,
        int(weight.shape[0]),
        bool(getattr(base.model, "_is_stateful", False)),
        socket.gethostname(),
        told,
    )


def compute(ready: Scorers, work: Work, told: str) -> Computed | Refused:
    """Do the work; an error that the user can do something about comes back as such."""
    import torch

    begun = time.perf_counter()
    try:
        result = work.done_by(ready)
    except torch.OutOfMemoryError:
        return Refused(
            RunError.__name__,
            f"{told} does not fit into the memory of a GPU of {socket.gethostname()}",
            "lower eval.batch_tokens: --set eval.batch_tokens=2048; what is scored is kept",
        )
    except BactrianError as error:
        return refused(error)
    return Computed(result, time.perf_counter() - begun)


def refused(error: BactrianError) -> Refused:
    """Return an error in a form that travels, with the machine that it came up on."""
    problem = f"{error.problem} (on {socket.gethostname()})"
    return Refused(type(error).__name__, problem, error.hint)


def agree(first: Opened, other: Opened) -> None:
    """Raise where two would not give the same numbers: AdapterError, RunError for the base."""
    both = f"on {other.where} than on {first.where}"
    if first.keys[BASE] != other.keys[BASE] or first.words != other.words:
        raise RunError(
            f"the base is another one {both}, or computes in {other.dtype} and {first.dtype}",
            'put the same files on every machine, and name the precision: train.dtype = "bfloat16"',
        )
    for name, key in first.keys.items():
        if other.keys.get(name) != key:
            raise AdapterError(
                f"the adapter {name} has other weights {both}",
                "put the same folder on every machine, best on storage that all of them share",
            )
    if (first.way, first.device) != (other.way, other.device):
        raise RunError(
            f"texts are scored in another way {both}: {other.way} ({other.device}) and "
            f"{first.way} ({first.device})",
            "take machines of one kind: their numbers would differ in the last digits",
        )
