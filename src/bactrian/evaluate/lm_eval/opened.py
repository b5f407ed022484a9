"""Loads what lm-eval is to ask: a base with an adapter on it, or none. Knows nothing of tasks.

Several runs of one command share the base: it is loaded once, and adapters are put on and taken
off. Outside of such a command every model has a base of its own, so that no two disturb each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.lm_eval.arguments import Arguments
from bactrian.models.adapters import BASE
from bactrian.models.base import Base, load

ADAPTER = "adapter"
"""What the one adapter of a run is called inside PEFT."""


@dataclass(slots=True)
class Shared:
    """The base that the runs of one command have in common, and what is on it now."""

    told: dict[str, Any] = field(default_factory=dict)
    """What the base was loaded by."""
    base: Base | None = None
    ready: Scorers | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    """Token ids of the last requests: the next adapter is asked the same ones."""


_shared: ContextVar[Shared | None] = ContextVar("shared", default=None)


@contextmanager
def one_base() -> Iterator[None]:
    """Let every model that is opened inside the block share one loaded base."""
    token = _shared.set(Shared())
    try:
        yield
    finally:
        _shared.reset(token)


def shared() -> Shared | None:
    """Return what the models of this command have in common, or None outside of one."""
    return _shared.get()


def open_model(told: Arguments) -> Scorers:
    """Return the model that the arguments tell, loaded, its adapter switched on.

    Raises ConfigError for a base that is not there or writes from an encoder, AdapterError for an
    adapter that is not in order or of another base.
    """
    common = _shared.get()
    if common is None:
        return _ready(_base(told), told)
    by = told.model_dump(
        include={"pretrained", "revision", "dtype", "quantize", "device", "add_bos_token"}
    )
    if common.ready is not None:
        common.ready.detach()
        common.ready = None
    if common.base is None or common.told != by:
        common.base, common.told = None, {}  # freed before the next one is read
        common.base, common.told = _base(told), by
    common.ready = _ready(common.base, told)
    return common.ready


def _ready(base: Base, told: Arguments) -> Scorers:
    adapters: Mapping[str, Path] = {ADAPTER: Path(told.peft).expanduser()} if told.peft else {}
    ready = scorers(base, adapters)
    if told.peft:
        ready.model.set_adapter(ADAPTER)
    return ready


def together() -> Any:
    """Return accelerate's view of the processes that were launched together, None for one alone.

    The first call gives every process a GPU of its own, where there are GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from accelerate import Accelerator

    return Accelerator()


def name_of(ready: Scorers) -> str:
    """Return which of the keys of ``ready`` a model opened here is scored under."""
    return ADAPTER if ADAPTER in ready.keys else BASE


def _base(told: Arguments) -> Base:
    together()  # the base is loaded onto this process's own device
    base = load(
        told.pretrained,
        network=told.network,
        dtype=told.dtype,
        revision=told.revision,
        quantize=told.quantize,
    )
    if base.kind != "causal":
        raise ConfigError(
            f"base {base.id} has an encoder, and the engine scores decoders alone",
            "use --model hf for it",
        )
    if told.add_bos_token is not None:
        base = replace(base, tokenizer=_tokenizer(base, told.add_bos_token))
    if (device := _device(told, base)) != base.device:
        base = replace(base, model=base.model.to(device), device=device)
    return base


def _device(told: Arguments, base: Base) -> str:
    """Return where to compute: as told, where that is there; lm-eval tells cuda:0 to everybody."""
    import torch

    absent = told.device.startswith("cuda") and not torch.cuda.is_available()
    if not told.device or absent or together() is not None:
        return base.device
    try:
        wanted, here = torch.device(told.device), base.model.device
    except RuntimeError:
        raise ConfigError(
            f"device {told.device} is none that torch knows", "cpu, cuda, cuda:1"
        ) from None
    same = wanted.type == here.type and wanted.index in (None, here.index)
    return base.device if same else told.device  # quantised weights cannot be moved


def _tokenizer(base: Base, add_bos: bool) -> Any:
    from transformers import AutoTokenizer

    folder = base.location.folder.absolute()
    return AutoTokenizer.from_pretrained(folder, add_bos_token=add_bos, local_files_only=True)
