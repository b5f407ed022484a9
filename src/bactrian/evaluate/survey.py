"""What an evaluation would ask and have written, looked at before any weights are loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from bactrian import table
from bactrian.evaluate.tasks import Task
from bactrian.evaluate.tasks.finding import blank, items, tasks
from bactrian.languages import Language
from bactrian.models.base import locate, tokenizer_of
from bactrian.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation would ask."""

    task: str
    language: str
    items: int
    options: int
    content: str = ""
    """Hash of every text, the right answers and the rules: other questions, another hash."""


@dataclass(frozen=True, slots=True)
class Written:
    """What every model of an evaluation would write."""

    task: str
    language: str
    prompts: int
    tokens: int
    """Of one model at most: answers may end before."""
    passed_over: int = 0
    """Rows before the last prompt that are not asked, see docs/confusion.md."""


def to_write(workspace: Workspace) -> tuple[Written, ...]:
    """Return the answers that an evaluation would have every model write; loads no weights.

    Raises DataError as the tasks do.
    """
    recipe = workspace.recipe
    found = [
        one
        for task in tasks(workspace)
        if (foretold := getattr(task, "foretold", None))
        for one in foretold()
    ]
    told = [
        Written(task, code, prompts, prompts * recipe.eval.answer_tokens, passed_over)
        for task, code, prompts, passed_over in found
    ]
    if recipe.eval.samples:
        for language in workspace.languages:
            there = table.info(workspace.split(language.code, "validation"))
            if there and (prompts := min(there.rows, recipe.eval.samples)):
                tokens = prompts * recipe.eval.sample_tokens
                told.append(Written("samples", language.code, prompts, tokens))
    return tuple(told)


def forecast(workspace: Workspace) -> tuple[Asked, ...]:
    """Return the items of every task and language; holds one at a time and loads no weights.

    Raises what is wrong with tasks and data: ConfigError and DataError, by name.
    """
    recipe = workspace.recipe
    chat = recipe.train.prompt == "chat"  # its template is the tokenizer's
    tokenizer = tokenizer_of(locate(recipe.train.base, network=recipe.network)) if chat else None
    return tuple(
        _asked(task, language)
        for task in tasks(workspace, tokenizer)
        for language in task.languages()
    )


def _asked(task: Task, language: Language) -> Asked:
    rules = task.rules
    digest = hashlib.blake2b(digest_size=16)
    digest.update(orjson.dumps([rules.metric, rules.join, rules.facts]))
    count = options = 0
    for item in items(task, language):
        digest.update(orjson.dumps(item))
        count += 1
        options += len(item.options)
    if extra := blank(task, language):
        digest.update(orjson.dumps(extra))
    return Asked(task.name, language.code, count, options, digest.hexdigest())
