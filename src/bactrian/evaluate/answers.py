"""A few held-out instructions, answered by base and adapters, for a reader to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from bactrian import table
from bactrian.evaluate.backends.served import Served
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.spread import Unit
from bactrian.evaluate.spread.works import Writing
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.models import prompts
from bactrian.models.generation import GenerationSettings
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
    settings = GenerationSettings(temperature=0, beams=1, max_tokens=recipe.eval.sample_tokens)
    style = prompts.get(recipe.train.prompt, scorers.base.tokenizer, workspace.recipe_folder)
    splits = {one.code: workspace.split(one.code, "validation") for one in workspace.languages}
    rows = [
        replace(row.example, language=code)
        for code, path in splits.items()
        if table.info(path) is not None
        for row in islice(table.read(path), recipe.eval.samples)
    ]
    asked = [
        (place, Writing(name, style.render(row.instruction, row.input), settings))
        for place, row in enumerate(rows)
        for name in scorers.keys
    ]
    texts: dict[tuple[int, str], str] = {}
    for (place, writing), text in _written(scorers, asked):
        texts[place, writing.model] = text.strip()
        emit("progress", task="sample answers", done=len(texts), total=len(asked))
    for place, example in enumerate(rows):
        yield {
            "id": example.id,
            "language": example.language,
            "instruction": example.instruction,
            "input": example.input,
            "answers": [{"model": name, "text": texts[place, name]} for name in scorers.keys],
        }


Asked = tuple[int, Writing]
"""The place of a row, and what is written to it."""


def _written(scorers: Scorers, asked: Sequence[Asked]) -> Iterator[tuple[Asked, str]]:
    """Yield what each was answered, in any order."""
    if scorers.crew is not None:
        units = (Unit(one[1], "sample answers", one) for one in asked)
        yield from ((done.unit.whose, done.result) for done in scorers.crew.done(units))
        return
    for one in asked:
        writing = one[1]
        if isinstance(scorers.model, Served):
            yield one, scorers.model.written(writing.prompt, writing.settings)
        else:
            yield one, writing.done_by(scorers)
