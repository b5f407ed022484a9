"""``bactrian compare``: two models on the same items, and gates for a CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bactrian.cli.options import Json, need_extra

if TYPE_CHECKING:
    from bactrian.evaluate.gate import Verdict
    from bactrian.schema import Difference

BROKEN = 1
"""Exit code when a gate is broken."""


def compare(
    a: Annotated[
        str,
        typer.Argument(help="FOLDER, FOLDER:MODEL, or a MODEL of B's folder.", show_default=False),
    ],
    b: Annotated[
        str,
        typer.Argument(help="What A is held against, said in the same way.", show_default=False),
    ],
    within: Annotated[
        Path | None, typer.Option("--in", help="Folder whose models A and B are.")
    ] = None,
    gates: Annotated[
        list[str] | None,
        typer.Option(
            "--gate",
            help='Least difference, such as "xcopa:macro >= -1.0" (points); exit 1 when broken.',
            metavar="GATE",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="What the data cannot tell breaks a gate too.")
    ] = False,
    tasks: Annotated[str, typer.Option("--tasks", help="Tasks, joined by commas; else all.")] = "",
    metric: Annotated[str, typer.Option("--metric", help="In place of each task's own.")] = "",
    draws: Annotated[int, typer.Option("--draws", min=100, help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Print A less B on everything both answered: paired, with interval, p and Holm's p.

    A gate is broken when the whole 95 % interval lies beyond what it allows.
    """
    need_extra("numpy", "compare", "train")
    from bactrian.evaluate.comparison import compare_sides
    from bactrian.evaluate.gate import judge, parse
    from bactrian.evaluate.metrics import Draws
    from bactrian.evaluate.sides import sides

    asked = [parse(gate) for gate in gates or ()]
    chosen = tuple(name.strip() for name in tasks.split(",") if name.strip())
    found = [
        compare_sides(one, other, Draws(draws, seed), tasks=chosen, metric=metric)
        for one, other in sides(a, b, within)
    ]
    verdicts = [judge(gate, one.differences) for one in found for gate in asked]
    broken = [
        one for one in verdicts
        if one.outcome == "worse" or (strict and one.outcome == "cannot be told")
    ]  # fmt: skip
    differences = [difference for one in found for difference in one.differences]
    notes = list(dict.fromkeys(note for one in found for note in one.notes))
    _print_words(differences, verdicts, notes, as_json=as_json)
    if as_json:
        _print_json(differences, verdicts, notes, broken=bool(broken))
    if broken:
        raise typer.Exit(BROKEN)


def _print_json(
    differences: Sequence[Difference],
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
    *,
    broken: bool,
) -> None:
    from dataclasses import asdict

    import orjson

    facts = {
        "differences": [_facts(one) for one in differences],
        "gates": [{**asdict(one), "difference": _facts(one.difference)} for one in verdicts],
        "notes": notes,
        "broken": broken,
    }
    print(orjson.dumps(facts).decode())  # an interval without bounds has null for its ends


def _facts(one: Difference) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(one), "clear": one.clear, "better": one.better}


def _print_words(
    differences: Sequence[Difference],
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
    *,
    as_json: bool,
) -> None:
    import sys

    from bactrian.evaluate.paired_table import lines

    told = [
        *lines(differences),
        *(f"note: {note}" for note in notes),
        *(f"gate {one.gate}: {one.outcome.upper()}. {one.words}" for one in verdicts),
    ]
    print("\n".join(told), file=sys.stderr if as_json else sys.stdout, flush=True)
