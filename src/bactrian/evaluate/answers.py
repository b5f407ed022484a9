"""A few held-out instructions, answered by base and adapters, for a reader to look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from bactrian import table
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.spread import Unit
from bactrian.evaluate.spread.works import Answering
from bactrian.evaluate.writer import Writer
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.models import prompts
from bactrian.models.generation import Generated
from bactrian.schema import Example
from bactrian.workspace import Workspace


def write_answers(workspace: Workspace, scorers: Scorers) -> None:
    """Write ``answers.json``: the first held-out ids of each language, answered greedily.

    Languages that a benchmark has and the dataset has not have no such ids.
    """
    path = workspace.results / "answers.json"
    told = list(_answers(workspace, scorers))
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _answers(workspace: Workspace, scorers: Scorers) -> Iterator[dict[str, Any]]:
    recipe = workspace.recipe
    splits = {one.code: workspace.split(one.code, "validation") for one in workspace.languages}
    rows = [
        replace(row.example, language=code)
        for code, path in splits.items()
        if table.info(path) is not None
        for row in islice(table.read(path), recipe.eval.samples)
    ]
    asked = _asked(scorers, _prompts(workspace, scorers.writer, rows), recipe.eval.sample_tokens)
    texts: dict[tuple[int, str], str] = {}
    total = len(rows) * len(scorers.keys)
    for (places, work), written in _written(scorers, asked):
        for place, one in zip(places, written, strict=True):
            texts[place, work.model] = one.text.strip()
        emit("progress", task="sample answers", done=len(texts), total=total)
    for place, example in enumerate(rows):
        yield {
            "id": example.id,
            "language": example.language,
            "instruction": example.instruction,
            "input": example.input,
            "answers": [{"model": name, "text": texts[place, name]} for name in scorers.keys],
        }


def _prompts(
    workspace: Workspace, writer: Writer, rows: Sequence[Example]
) -> list[tuple[int, ...]]:
    """Return what each row is asked, as the writer reads it."""
    told = prompts.told(workspace.recipe.train.prompt, workspace.recipe_folder)
    style = prompts.style(told, writer.tokenizer)
    texts = [style.render(row.instruction, row.input) for row in rows]
    writer.prepare(texts)
    return [tuple(writer.encode(text)) for text in texts]


Asked = tuple[tuple[int, ...], Answering]
"""The places of rows, and what is answered there."""


def _asked(scorers: Scorers, rows: Sequence[tuple[int, ...]], most: int) -> Iterator[Asked]:
    """Yield what is to be answered: in this process one prompt by itself, as a reader has it."""
    for places in scorers.writer.plan(list(map(len, rows)), most, budget=1):
        for name in scorers.keys:
            yield places, Answering(name, tuple(rows[place] for place in places), most)


def _written(
    scorers: Scorers, asked: Iterable[Asked]
) -> Iterator[tuple[Asked, Sequence[Generated]]]:
    """Yield what each was answered, in any order."""
    if scorers.crew is None:
        yield from ((one, one[1].done_by(scorers)) for one in asked)
        return
    units = (Unit(one[1], "sample answers", one) for one in asked)
    yield from ((done.unit.whose, done.result) for done in scorers.crew.done(units))
