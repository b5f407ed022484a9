"""A base that is loaded elsewhere: tokenizer and configuration are here, the weights are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bactrian.evaluate.engine import Scorers, keys_of
from bactrian.evaluate.spread.crew import Crew
from bactrian.evaluate.spread.worker import Opened
from bactrian.evaluate.writer import Here
from bactrian.models.base import Base, Location, config_of, tokenizer_of
from bactrian.models.head import Head, Split
from bactrian.models.scoring import Scorer


class Unloaded:
    """What is asked of a model that is elsewhere: its configuration."""

    def __init__(self, config: Any, *, stateful: bool) -> None:
        self.config = config
        self._is_stateful = stateful

    def unload(self) -> None:
        """Need nothing: no adapter was put on it."""


def unloaded(
    location: Location, adapters: Mapping[str, Path], opened: Opened, crew: Crew
) -> tuple[Scorers, Opened]:
    """Return what plans and keeps, and what a crew of these files here would say of itself.

    The batches are those that ``opened`` would plan: they follow from its way of scoring, its kind
    of device and the size of its head.
    """
    model = Unloaded(config_of(location), stateful=opened.stateful)
    base = Base(
        location,
        model,
        tokenizer_of(location),
        opened.device,
        opened.dtype,
        opened.kind,
        opened.quantize,
    )
    keys = keys_of(location.fingerprint, adapters, base.precision)
    ready = Scorers(base, model, planning(opened), Here(base, model), keys, crew)
    here = replace(opened, keys=keys, where="this machine", told=())
    return ready, here


def planning(opened: Opened) -> Scorer:
    """Return a scorer that plans and cannot score: its head has rows and no columns."""
    import torch

    device = opened.device if opened.device == "cpu" else "meta"
    weight = torch.empty(opened.words, 0, device=device)
    head = Head(SimpleNamespace(weight=weight), 1.0, None)
    return Scorer(Split(None, None, head, fast=True), opened.way)
