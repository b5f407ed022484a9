"""One cell of the training bench: this project's engine on the rows that the peers get.

    PYTHONPATH=. python -m benchmarks.training.ours --model llama --threads 1 --work FOLDER

What is run is ``engine.made_ready`` and ``engine.learn``, which `bactrian train` calls, on the
recipe's defaults: its first steps, as they are. A step of the plan holds short and long rows in the
epoch's own proportion (``planning.steps``), so a few of them stand for all.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.training import meter as metering
from benchmarks.training import shapes


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", default="llama")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens of a micro-batch")
    parser.add_argument("--batch", type=int, default=8192, help="tokens of an optimizer step")
    parser.add_argument("--packing", default="auto", choices=["auto", "pad", "pack"])
    parser.add_argument("--rank", type=int, default=shapes.RANK)
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    parser.add_argument("--warm", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--seconds", type=float, default=120, help="longest timed part")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--work", type=Path, required=True, help="folder for what it writes")
    run(parser.parse_args())


def run(told: argparse.Namespace) -> None:
    """Put the engine together, train it, print its result."""
    import torch

    from bactrian.train import engine

    torch.set_num_threads(told.threads)
    recipe, base = recipe_of(told), base_of(told)
    meter = metering.Meter(told.device, told.warm, told.steps, told.seconds)
    with engine.made_ready(base, recipe.train, ["bench"], recipe.seed) as ready:
        packing = ready.packs(told.packing)
        rows = shapes.rows(shapes.SHAPES[told.model].vocabulary)
        job = job_of({"bench": rows}, recipe, packing=packing)
        with listening(counting(meter, job), metering.callback(meter)):
            learn(ready, base, recipe, job, told.work)
    metering.told(
        meter.result(
            contender="ours",
            model=told.model,
            device=told.device,
            threads=told.threads,
            batch=told.batch,
            micro_batch=told.tokens,
            packing=packing,
            torch=torch.__version__,
        )
    )


def recipe_of(told: argparse.Namespace) -> Any:
    """Return a recipe that says what the peers are told, and nothing else."""
    from bactrian.recipe import Lora, Recipe, Train

    targets = shapes.SHAPES[told.model].targets
    lora = Lora(rank=told.rank, alpha=shapes.ALPHA, dropout=0.0, targets=targets)
    train = Train(
        lora=lora,
        learning_rate=shapes.LEARNING_RATE,
        batch_tokens=told.batch,
        micro_batch_tokens=told.tokens,
        packing=told.packing,
        max_steps=told.warm + told.steps,
        checkpointing=told.checkpointing,
        prompt="alpaca",
    )
    return Recipe(train=train)


def base_of(told: argparse.Namespace) -> Any:
    """Return the model as ``models.base`` would have loaded it."""
    from bactrian.models.base import Base, Location, quiet

    quiet()
    where = Location(told.model, told.work, "", "")
    model = shapes.model(told.model, told.device).eval()
    return Base(where, model, shapes.tokenizer(), told.device, "bfloat16")


def job_of(rows: dict[str, list[shapes.Row]], recipe: Any, *, packing: bool) -> Any:
    """Return the training of one or several adapters, each by its name."""
    from bactrian.train.assemble import planned
    from bactrian.train.job import Job, Member

    members = []
    for name, of_one in rows.items():
        prepared = prepared_of(of_one)
        members.append(Member(name, prepared, planned(prepared, recipe, packing=packing)))
    return Job(tuple(members), packing)


def prepared_of(rows: list[shapes.Row]) -> Any:
    """Return the rows as ``prepare`` leaves them, without the texts they would have come from."""
    import numpy as np

    from bactrian.train.prepared import Prepared, Tokens

    lengths = np.array([len(row.ids) for row in rows], dtype=np.int32)
    return Prepared(
        names=("en",),
        languages=np.zeros(len(rows), dtype=np.int16),
        prompts=np.array([row.prompt for row in rows], dtype=np.int32),
        lengths=lengths,
        too_long={},
        shortened={},
        empty={},
        tokens=Tokens([np.concatenate([row.ids for row in rows])], ()),
        block=np.zeros(len(rows), dtype=np.int32),
        begin=np.cumsum(lengths, dtype=np.int64) - lengths,
    )


def learn(ready: Any, base: Any, recipe: Any, job: Any, work: Path) -> None:
    """Train as `bactrian train` does, with no held-out rows, from the beginning."""
    from bactrian.models import prompts
    from bactrian.models.fit import fit
    from bactrian.train import engine
    from bactrian.train.assemble import Assembled

    made = Assembled(job, None, fit(base.tokenizer, base.model), prompts.BACTRIAN)
    engine.learn(ready, base, recipe, made, scratch(work))


def scratch(work: Path) -> Path:
    """Return an empty folder: nothing is gone on from."""
    folder = work / "out" / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def listening(*callbacks: Any) -> Iterator[None]:
    """Have every Trainer that is made in the block call these as well."""
    from transformers import trainer

    before = list(trainer.DEFAULT_CALLBACKS)
    trainer.DEFAULT_CALLBACKS += callbacks
    try:
        yield
    finally:
        trainer.DEFAULT_CALLBACKS[:] = before


def counting(meter: metering.Meter, job: Any) -> Any:
    """Return a TrainerCallback that tells the meter the tokens of each step."""
    from transformers import TrainerCallback

    class Counting(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            meter.add(counts(job, state.global_step - 1))

    return Counting()


def counts(job: Any, step: int) -> metering.Counts:
    """Return the tokens of one step."""
    plan = job.plan
    rows = plan.rows_of(step)
    useful = int(plan.data.lengths[rows].sum())
    padded = sum(plan.computed(micro) for micro in plan.step(step))
    return metering.Counts(useful, padded, int(job.rows.targets[rows].sum()))


if __name__ == "__main__":
    main()
