"""Memory and disk that a training takes, and which settings make it fit. Knows no steps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bactrian.recipe import Train
from bactrian.train.forecast.activations import Extents, activations
from bactrian.train.forecast.shapes import Model

LEARNING_BYTES = 4 + 4 + 8
"""Of a parameter that learns: itself, its gradient, and AdamW's two means, all in float32."""
KEPT_BYTES = 4 + 8
"""Of a parameter that learns in a checkpoint: itself and AdamW's means."""
CHECKPOINTS = 3
"""Two are kept, and a new one is whole before the oldest goes."""
CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the device's memory at the peak."""

    weights_bytes: int
    adapters: int
    """Adapters that learn at once."""
    learning_bytes: int
    """What learns, in float32, with gradient and optimizer: 16 bytes a parameter."""
    activations_bytes: int
    """Of the largest micro-batch, by the formula of ``activations``."""
    activations_with_checkpointing_bytes: int
    total_bytes: int
    """With the measured activations, where they were measured."""
    device: str
    device_bytes: int
    """What the device has; 0 where that cannot be told."""
    measured_activations_bytes: int | None = None
    """Peak of that micro-batch above the loaded model; None where it was not measured."""

    @property
    def fits(self) -> bool:
        """Whether the device has as much."""
        return not self.device_bytes or self.total_bytes <= self.device_bytes


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes that a training writes."""

    adapter_bytes: int
    checkpoints_bytes: int
    """Two with their optimizer, and a third while it is written."""
    tokens_bytes: int
    """The rows as token ids, which are there already."""
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Whether there is room for what is not there yet."""
        return self.adapter_bytes + self.checkpoints_bytes <= self.free_bytes


def memory_of(model: Model, largest: Extents, train: Train, device: str, adapters: int) -> Memory:
    """Return the memory of a training whose largest micro-batch is this one."""
    by_way = [
        activations(model, largest, device, checkpointing=way).total_bytes for way in (False, True)
    ]
    # weights that learn are the base's own: they are counted once
    each = LEARNING_BYTES - 4 if model.trains_all else LEARNING_BYTES
    learning = adapters * model.trained_parameters * each
    total = model.weight_bytes + learning + by_way[train.checkpointing]
    found = (model.weight_bytes, adapters, learning, by_way[train.checkpointing], by_way[True])
    return Memory(*found, total, device, device_bytes(device))


def fitting(
    memory: Memory, train: Train, foretold: Callable[[Train], Memory]
) -> Iterator[tuple[str, int]]:
    """Yield settings that would make a training fit, as ``--set`` has them, with their bytes.

    ``foretold`` is the memory under other settings. Nothing where it fits; the gentlest first.
    """
    if memory.fits:
        return
    checkpointing = {"checkpointing": True}
    smaller = {"micro_batch_tokens": max(train.max_tokens, train.micro_batch_tokens // 4)}
    nf4 = {"quantize": "nf4"} if train.adapter == "lora" and train.quantize == "none" else {}
    for change in (
        smaller,
        checkpointing,
        {**checkpointing, **smaller},
        {**nf4, **smaller},
        {**nf4, **checkpointing, **smaller},
    ):
        now = {key: value for key, value in change.items() if getattr(train, key) != value}
        found = foretold(train.model_copy(update=now))
        if now and found.fits:
            yield (
                " ".join(f"--set train.{key}={_told(one)}" for key, one in now.items()),
                (found.total_bytes),
            )
            return


def disk_of(model: Model, train: Train, steps: int, tokens_bytes: int, folder: Path) -> Disk:
    """Return the disk that one adapter takes, and what ``folder``'s disk has left."""
    learning = model.trained_parameters
    size = model.item_bytes if model.trains_all else 4
    kept = min(CHECKPOINTS, -(-steps // train.save_steps))
    best = 4 * learning if train.patience else 0
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    return Disk(size * learning, kept * (KEPT_BYTES * learning) + best, tokens_bytes, free)


def device_bytes(device: str) -> int:
    """Return the memory of the GPU, or of this machine (of its container), 0 where unknown."""
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    found = []
    with suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ValueError, OSError):
        found.append(int(CGROUP.read_text()))
    return min(found, default=0)


def _told(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
