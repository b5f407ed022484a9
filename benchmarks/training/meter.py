"""Counts tokens, seconds and memory of a training, the same way for every contender.

A step lasts from the end of the step before to its own end, so that putting batches together is in
it. Knows nothing of trainers; runs in the peers' environments too.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MARK = "RESULT "


@dataclass(frozen=True)
class Counts:
    """Tokens of a step."""

    useful: int
    """Tokens that are no padding."""
    padded: int
    """Positions computed."""
    response: int
    """Tokens with a loss."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.useful + other.useful,
            self.padded + other.padded,
            self.response + other.response,
        )


class Meter:
    """What a training did since its warm-up ended; made when the model is loaded."""

    def __init__(self, device: str, warm: int, steps: int, seconds: float) -> None:
        self.device, self.warm, self.steps, self.seconds = device, warm, steps, seconds
        self.done = 0
        self.counts = self.pending = Counts(0, 0, 0)
        self.wall = self.cpu = 0.0
        self.each: list[tuple[float, float, int, int]] = []
        self.base_mb = self.peak_mb = _resident_mb(device)
        self.begin()

    def begin(self) -> None:
        """Start the clock; the first steps are not timed."""
        self.prepared_mb = _peak_mb(self.device) - self.base_mb
        self._began = self._now()
        self._first = self._began[0]

    def add(self, counts: Counts) -> None:
        """Count what the step under way computes."""
        self.pending += counts

    def step(self) -> bool:
        """Close a step; True where enough has been measured."""
        now = self._now()
        wall, cpu = now[0] - self._began[0], now[1] - self._began[1]
        self.done += 1
        if self.done > self.warm:
            self.counts += self.pending
            self.wall, self.cpu = self.wall + wall, self.cpu + cpu
            self.each.append((wall, cpu, self.pending.useful, self.pending.response))
        else:
            self._first = now[0]
        self.pending = Counts(0, 0, 0)
        self.peak_mb = _peak_mb(self.device)  # what follows the last step is no training
        self._began = self._now()
        return self.done >= self.warm + self.steps or now[0] - self._first > self.seconds

    def _now(self) -> tuple[float, float]:
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize()
        return time.perf_counter(), _cpu_seconds()

    def result(self, **told: Any) -> dict[str, Any]:
        """Return every number; rates are per second of wall and per second of CPU."""
        wall, cpu = max(self.wall, 1e-9), max(self.cpu, 1e-9)
        found = {
            **told,
            **asdict(self.counts),
            "steps": len(self.each),
            "wall_s": round(self.wall, 3),
            "cpu_s": round(self.cpu, 3),
            "cpu_per_wall": round(self.cpu / wall, 3),
            "padding": round(1 - self.counts.useful / max(self.counts.padded, 1), 4),
            "memory_mb": round(self.peak_mb - self.base_mb, 1),
            "prepared_mb": round(self.prepared_mb, 1),
            "loaded_mb": round(self.base_mb, 1),
        }
        for name in ("useful", "response"):
            tokens = getattr(self.counts, name)
            found[f"{name}_per_s"] = round(tokens / wall, 1)
            found[f"{name}_per_cpu_s"] = round(tokens / cpu, 1)
        return found


def told(result: dict[str, Any]) -> None:
    """Print a result where the runner finds it."""
    print(MARK + json.dumps(result), flush=True)


def heard(output: str) -> dict[str, Any] | None:
    """Return the last result that a cell printed."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    return dict(json.loads(lines[-1].removeprefix(MARK))) if lines else None


def callback(meter: Meter) -> Any:
    """Return a TrainerCallback that closes a step when the Trainer does, and ends the training."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            meter.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = meter.step()

    return Steps()


def counting(step: Callable[..., Any], meter: Meter) -> Callable[..., Any]:
    """Wrap a Trainer's training_step so that the tokens of its batches are counted."""

    def counted(model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
        ids, labels, mask = inputs["input_ids"], inputs["labels"], inputs.get("attention_mask")
        useful = ids.numel() if mask is None else int((mask != 0).sum())
        meter.add(Counts(useful, ids.numel(), int((labels[:, 1:] != -100).sum())))
        return step(model, inputs, *rest, **more)

    return counted


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_mb(device: str) -> float:
    """Return what is held now, in MiB, and begin the peak anew."""
    gc.collect()
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated() / 2**20)
    ctypes.CDLL(None).malloc_trim(0)  # what loading freed is no part of the model
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _peak_mb(device: str) -> float:
    if device != "cpu":
        import torch

        return float(torch.cuda.max_memory_allocated() / 2**20)
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return float(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {name}: the bench needs Linux")
