"""Two steps of each pass on the real weights, in a process that does nothing else.

``python -m bactrian.train.forecast.steps`` reads what to do from stdin and writes a line of JSON
for every pass; what it does is what a training does, on the very micro-batches of its plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from bactrian.errors import BactrianError
from bactrian.models.base import Base, of, place_of
from bactrian.recipe import of_values
from bactrian.train.assemble import assemble
from bactrian.train.engine import Ready, made_ready
from bactrian.train.forecast.peak import Cost, cost
from bactrian.train.job import Job
from bactrian.train.plan import Extent
from bactrian.train.processes import processes
from bactrian.train.run import wanted_of
from bactrian.train.settings import arguments
from bactrian.train.trainer import ResponseTrainer
from bactrian.workspace import Workspace


def main(asked: TextIO, told: TextIO) -> None:
    """Answer with a line for each pass; a user's error is the last line."""
    question = json.load(asked)
    recipe = of_values(tomllib.loads(question["recipe"]), "recipe.toml")
    workspace = Workspace(Path(question["root"]), recipe, Path(question["recipe_folder"]))
    try:
        for found in measured(workspace, question["passes"]):
            print(json.dumps(found), file=told, flush=True)
    except BactrianError as error:
        said = {"error": type(error).__name__, "problem": error.problem, "hint": error.hint}
        print(json.dumps(said), file=told, flush=True)


def measured(workspace: Workspace, passes: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield what the smallest and the largest micro-batch of each pass take; load the base once."""
    recipe, where = workspace.recipe, place_of(workspace.recipe)
    whole = recipe.train.adapter == "none"  # leaves the base in float32
    base = of(recipe)
    for place, names in enumerate(passes):
        base = of(recipe) if whole and place else base
        wanted = [wanted_of(workspace, name, where) for name in names]
        with made_ready(base, recipe.train, list(names), recipe.seed) as ready:
            made = assemble(workspace, wanted, base, ready, processes())
            found = _steps(base, ready, made.job, workspace)
            held_out = 0 if made.held_out is None else int(made.held_out.prepared.lengths.sum())
            yield found | {"held_out_tokens": held_out}


def _steps(base: Base, ready: Ready, job: Job, workspace: Workspace) -> dict[str, Any]:
    recipe, total = workspace.recipe, job.plan.total
    whole = recipe.train.adapter == "none"
    with tempfile.TemporaryDirectory() as folder:
        trainer = ResponseTrainer(
            job=job,
            attention=ready.attention,
            layers=ready.layers,
            groups=[],
            factors=[],
            model=ready.model,
            args=arguments(
                recipe, Path(folder), job.plan.steps, base.device, base.dtype if whole else ""
            ),
        )
        learning = [one for one in ready.model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=0.0)
        _micro_step(trainer, total.smallest)  # what is slow or allocated once
        optimizer.step()
        update = cost(optimizer.step, base.device)
        smallest = cost(lambda: _micro_step(trainer, total.smallest), base.device)
        largest = cost(lambda: _micro_step(trainer, total.largest), base.device)
        scoring = cost(lambda: _forward(trainer, total.largest), base.device)
    return {
        "update_seconds": update.seconds,
        "scoring_seconds": scoring.seconds,
        "smallest": _told(total.smallest, smallest),
        "largest": _told(total.largest, largest),
        "device": base.device,
    }


def _micro(trainer: ResponseTrainer, extent: Extent) -> Any:
    job = trainer.job
    rows = job.plan.step(extent.step)[extent.micro]
    return job.rows.micro(rows, np.ones(len(job.members)))


def _micro_step(trainer: ResponseTrainer, extent: Extent) -> None:
    trainer.training_step(trainer.model, [_micro(trainer, extent)])


def _forward(trainer: ResponseTrainer, extent: Extent) -> None:
    micro = trainer._prepare_inputs(_micro(trainer, extent))
    model = trainer.model.eval()
    with torch.no_grad(), trainer.reading(micro), trainer.compute_loss_context_manager():
        trainer.nats(model, micro)


def _told(extent: Extent, found: Cost) -> dict[str, Any]:
    return {"tokens": extent.tokens, "seconds": found.seconds, "peak_bytes": found.peak_bytes}


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
