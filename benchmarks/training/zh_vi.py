"""What twenty minutes on two cores do for Chinese and Vietnamese: an adapter each, one for both.

    python -m benchmarks.training.zh_vi --work FOLDER --steps 360

Rows are the real translations in ``../shared/data/alpaca_translated``; adapters are trained as
`bactrian train` trains them and measured as `bactrian eval` measures them, in bits per byte of
answers to instructions that no adapter saw. Killed, the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.training import report
from benchmarks.training.report import Figure

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "alpaca_translated"
LESS = 0.15
"""Share of the base's bits per byte that an adapter has to save in its languages."""


def main() -> int:
    """Train, measure, print a line a figure; 1 where an adapter saves too little."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for what it writes")
    parser.add_argument("--steps", type=int, default=360, help="optimizer steps of each adapter")
    parser.add_argument("--threads", type=int, default=2)
    told = parser.parse_args()
    if not DATA.is_dir():
        print(f"# skipped: {DATA} is not there")
        return 0
    import torch

    torch.set_num_threads(told.threads)
    figures = list(measured(told.work, told.steps))
    for figure in figures:
        print(figure.line(), flush=True)
    report.write(HERE.parent / "results", figures, [{"contender": "zh-vi", "steps": told.steps}])
    return int(any(figure.short for figure in figures))


def measured(work: Path, steps: int) -> Iterator[Figure]:
    """Yield minutes, held-out bits per byte and the share saved, for each adapter and language."""
    from bactrian import events
    from bactrian.cli.terminal import reader
    from bactrian.data.build import build
    from bactrian.data.collect import collect
    from bactrian.data.own import own_rows
    from bactrian.evaluate.run import evaluate
    from bactrian.train.run import train
    from bactrian.workspace import open_workspace

    work.mkdir(parents=True, exist_ok=True)
    if not (work / "data").exists():
        (work / "data").symlink_to(DATA)
    (work / "recipe.toml").write_text((HERE / "zh_vi.toml").read_text())
    workspace = open_workspace(work / "recipe.toml", (f"train.max_steps={steps}",))
    with reader() as terminal, events.reading(terminal):
        collect(workspace)
        for language in workspace.languages:
            own_rows(workspace, language)
        build(workspace, workspace.languages)
        for name in workspace.adapters():
            done = train(workspace, name)
            yield Figure(f"{name}_minutes", done.facts.seconds / 60)
        results = evaluate(workspace, list(workspace.adapters())).results
    found = {(score.model, score.language): score.value for score in results.scores}
    for (name, code), value in found.items():
        yield Figure(f"{name}_{code}_bits_per_byte", value)
        if name in (code, "multi"):
            saved = 1 - value / found["base", code]
            yield Figure(f"{name}_{code}_saved", saved, LESS, at_most=False)


if __name__ == "__main__":
    sys.exit(main())
