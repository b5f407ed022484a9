"""52 monolingual adapters in one run over one base, against 52 runs, in total tokens a second.

    PYTHONPATH=. python -m benchmarks.training.adapters --work FOLDER

Every adapter learns from rows of its own in optimizer steps of eight rows, the original's batch on
one device. 52 runs take the loaded base in turn, as `bactrian train` does; one run takes them all
(``together = true``). The seconds are those inside the Trainer, CPU with one thread; preparing the
model for each run is told apart. With steps of many more rows a run alone fills its products by
itself, and there is less to gain. Prints a line a figure; ends with 1 where one falls short.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from benchmarks.training import ours, shapes
from benchmarks.training.report import Figure

ADAPTERS = 52
STEP_ROWS = 8
STEPS = 3
LIMIT = 1.5
WORK = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "bactrian-bench")) / "training"


def main() -> int:
    """Run both ways in turn, print the figures; 1 where one falls short."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what it writes")
    parser.add_argument("--adapters", type=int, default=ADAPTERS)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    torch.set_num_threads(1)
    base = ours.base_of(argparse.Namespace(model="toy", device="cpu", work=told.work))
    of_each = _rows(told.adapters)
    rounds = []
    for _ in range(told.rounds):
        alone = [run(base, {name: rows}, told.work) for name, rows in of_each.items()]
        rounds.append((run(base, of_each, told.work), sum(alone, start=Spent())))
    tokens = sum(len(row.ids) for rows in of_each.values() for row in rows)
    figures = [
        Figure("adapters_in_one_run_tokens_per_s", median(tokens / one.steps for one, _ in rounds)),
        Figure("adapters_in_turn_tokens_per_s", median(tokens / each.steps for _, each in rounds)),
        Figure(
            "adapters_in_one_run_over_in_turn",
            median(each.steps / one.steps for one, each in rounds),
            LIMIT,
            at_most=False,
        ),
        Figure(
            "adapters_in_one_run_over_in_turn_with_preparing",
            median(each.whole / one.whole for one, each in rounds),
        ),
    ]
    for figure in figures:
        print(figure.line(), flush=True)
    return int(any(figure.short for figure in figures))


class Spent:
    """CPU seconds of some runs."""

    def __init__(self, steps: float = 0.0, whole: float = 0.0) -> None:
        self.steps = steps
        """Inside the Trainer."""
        self.whole = whole
        """Preparing the model, too."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.steps + other.steps, self.whole + other.whole)


def run(base: Any, rows: dict[str, list[shapes.Row]], work: Path) -> Spent:
    """Train the adapters in one run; return its CPU seconds."""
    from bactrian.recipe import Lora, Recipe, Train
    from bactrian.train import engine

    began = process_time()
    lora = Lora(rank=shapes.RANK, dropout=0.0, targets=shapes.LLAMA_TARGETS)
    train = Train(lora=lora, batch_rows=STEP_ROWS, epochs=1, packing="pad")
    recipe = Recipe(train=train)
    spent = Spent()
    with engine.made_ready(base, train, list(rows), recipe.seed) as ready:
        job = ours.job_of(rows, recipe, packing=False)
        with ours.listening(_timing(spent)):
            ours.learn(ready, base, recipe, job, work)
    spent.whole = process_time() - began
    return spent


def _timing(spent: Spent) -> Any:
    """Return a TrainerCallback that times the steps of a training."""
    from transformers import TrainerCallback

    class Timing(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            spent.steps = -process_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == state.max_steps:
                spent.steps += process_time()

    return Timing()


def _rows(adapters: int) -> dict[str, list[shapes.Row]]:
    """Return rows of its own for each adapter: ``STEPS`` steps of them."""
    size = STEP_ROWS * STEPS
    drawn = shapes.rows(shapes.SHAPES["toy"].vocabulary, adapters * size)
    return {f"a{place}": drawn[place * size : (place + 1) * size] for place in range(adapters)}


if __name__ == "__main__":
    sys.exit(main())
