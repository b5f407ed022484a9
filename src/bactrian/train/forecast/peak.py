"""Seconds and peak memory of one call, on a GPU or of this very process. Knows no models."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
HIGHEST = "5"
"""Written there it forgets the highest resident size (Linux, proc(5))."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took."""

    seconds: float
    peak_bytes: int | None
    """Above what was in use before; None where the system does not tell."""


def cost(call: Callable[[], object], device: str) -> Cost:
    """Make the call once and return what it took."""
    return _on_cuda(call) if device == "cuda" else _on_cpu(call)


def _on_cuda(call: Callable[[], object]) -> Cost:
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, began = torch.cuda.memory_allocated(), time.perf_counter()
    call()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    return Cost(seconds, int(torch.cuda.max_memory_allocated() - before))


def _on_cpu(call: Callable[[], object]) -> Cost:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again unseen
    counted = _reset()
    before = _resident("VmRSS")
    began = time.perf_counter()
    call()
    seconds = time.perf_counter() - began
    highest = _resident("VmHWM")
    known = counted and before is not None and highest is not None
    return Cost(seconds, highest - before if known and highest and before else None)


def _reset() -> bool:
    try:
        RESET.write_text(HIGHEST)
    except OSError:
        return False
    return True


def _resident(name: str) -> int | None:
    """Return a size of this process in bytes, None where the system does not tell."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    return None
