"""A few held-out instructions, answered by base and adapters, for a reader to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from bactrian import table
from bactrian.evaluate.backends.served import Served
from bactrian.evaluate.engine import Scorers
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.models import prompts
from bactrian.models.generation import GenerationSettings, generate
from bactrian.workspace import Workspace


def write_answers(workspace: Workspace, scorers: Scorers) -> None:
    """Write ``answers.json``: the first held-out ids of each language, answered greedily.

    Languages that a benchmark has and the dataset has not have no such ids.
    """
    path = workspace.results / "answers.json"
    told = list(_answers(workspace, scorers))
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _written(scorers: Scorers, prompt: str, settings: GenerationSettings) -> str:
    if isinstance(scorers.model, Served):
        return scorers.model.written(prompt, settings)
    return generate(scorers.model, scorers.base.tokenizer, prompt, settings).text


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
    total, done = len(rows) * len(scorers.keys), 0
    for example in rows:
        prompt = style.render(example.instruction, example.input)
        answers = []
        for name in scorers.keys:
            with scorers.using(name):
                text = _written(scorers, prompt, settings)
            answers.append({"model": name, "text": text.strip()})
            done += 1
            emit("progress", task="sample answers", done=done, total=total)
        yield {
            "id": example.id,
            "language": example.language,
            "instruction": example.instruction,
            "input": example.input,
            "answers": answers,
        }
