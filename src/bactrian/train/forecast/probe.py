"""Has two steps of each pass measured by another process, and says how long all of them take.

The process is another one so that its memory is the training's alone, and so that one which the
system kills for its memory is an answer and no end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bactrian import errors
from bactrian.errors import BactrianError, RunError
from bactrian.recipe import Train, dumps
from bactrian.train.forecast.memory import Memory
from bactrian.train.plan import Counts
from bactrian.workspace import Workspace

COMMAND = (sys.executable, "-m", "bactrian.train.forecast.steps")
LATER = 2
"""Held-out rows are scored before the first step and after the last, whatever the steps between."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What two micro-batches took on the real weights, and what follows for the whole training."""

    smallest_tokens: int
    smallest_seconds: float
    largest_tokens: int
    largest_seconds: float
    update_seconds: float
    """Of the optimizer, once a step."""
    scoring_seconds: float
    """Of the largest micro-batch without a way back."""
    held_out_tokens: int
    peak_bytes: int | None
    """Of the largest, above the loaded model with gradients and optimizer; None if unknown."""
    hours: float = 0.0
    """Of the whole pass: its steps, and the held-out rows as often as they are scored."""
    tokens_per_second: float = 0.0
    """Of all steps, padding not counted."""

    def told(self, memory: Memory) -> Memory:
        """Return the memory with what was measured in place of what was computed."""
        if self.peak_bytes is None:
            return memory
        total = memory.total_bytes - memory.activations_bytes + self.peak_bytes
        return replace(memory, total_bytes=total, measured_activations_bytes=self.peak_bytes)

    def seconds(self, micro_batches: int, padded_tokens: int) -> float:
        """Return what so many micro-batches of so many tokens in all take.

        A line through the two that were measured, a price for each and one a token; where the
        larger is dearer by the token, all are as dear as that one.
        """
        more = self.largest_tokens - self.smallest_tokens
        a_token = self.largest_seconds / self.largest_tokens
        slope = (self.largest_seconds - self.smallest_seconds) / more if more else a_token
        each = self.largest_seconds - slope * self.largest_tokens
        if each < 0 or slope < 0:
            return padded_tokens * a_token
        return micro_batches * each + padded_tokens * slope


def probe(workspace: Workspace, passes: Sequence[Sequence[str]]) -> list[Probe | None]:
    """Return what was measured of each pass; None for those that the system had no memory for.

    Raises what the training itself would raise: a base that cannot be loaded, settings that
    exclude one another.
    """
    question = {
        "root": str(workspace.root.absolute()),
        "recipe": dumps(workspace.recipe),
        "recipe_folder": str(workspace.recipe_folder.absolute()),
        "passes": [list(names) for names in passes],
    }
    done = subprocess.run(
        COMMAND, input=json.dumps(question), capture_output=True, text=True, check=False
    )
    found: list[Probe | None] = [_read(line) for line in _answers(done.stdout)]
    if done.returncode > 0 and len(found) < len(passes):
        last = done.stderr.strip().rpartition("\n")[2]
        raise RunError(f"the probe ended without an answer: {last}", "leave it out: --no-probe")
    return [*found, *[None] * (len(passes) - len(found))]


def with_hours(found: Probe, total: Counts, train: Train) -> Probe:
    """Return the probe with what it says of a training that computes so much."""
    steps = found.seconds(total.micro_batches, total.padded_tokens)
    steps += total.steps * found.update_seconds
    scored = found.held_out_tokens * (LATER + (total.steps - 1) // train.eval_steps)
    scoring = scored * found.scoring_seconds / found.largest_tokens
    return replace(
        found, hours=(steps + scoring) / 3600, tokens_per_second=total.useful_tokens / steps
    )


def _answers(said: str) -> Iterator[dict[str, Any]]:
    for line in said.splitlines():
        if not line.startswith("{"):
            continue  # a library that speaks at its import
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            made: type[BactrianError] = getattr(errors, answer["error"], BactrianError)
            if answer["problem"].startswith("out of memory"):
                return  # that is the answer
            raise made(answer["problem"], answer["hint"])
        yield answer


def _read(answer: dict[str, Any]) -> Probe:
    smallest, largest = answer["smallest"], answer["largest"]
    return Probe(
        smallest["tokens"],
        smallest["seconds"],
        largest["tokens"],
        largest["seconds"],
        answer["update_seconds"],
        answer["scoring_seconds"],
        answer["held_out_tokens"],
        largest["peak_bytes"],
    )
