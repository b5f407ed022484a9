"""The tasks that a recipe names: registered ones, variants of them, and task files of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from bactrian import registry
from bactrian.errors import ConfigError
from bactrian.evaluate.tasks import Item, Task, naming
from bactrian.evaluate.tasks.checking import checked
from bactrian.languages import Language
from bactrian.workspace import Workspace

FILE = ".toml"


def tasks(workspace: Workspace, tokenizer: object = None) -> list[Task]:
    """Return the tasks of the recipe, in its order.

    Raises ConfigError for one that is unknown, that is named twice, and where what stands after a
    name (``exams:letter``) means nothing to the task.
    """
    found = [task(workspace, tokenizer, name) for name in workspace.recipe.eval.tasks]
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"the task {twice[0]} is named twice", "name it once in eval.tasks")
    return found


def task(workspace: Workspace, tokenizer: object, name: str) -> Task:
    """Return the task of a name: ``xcopa``, ``exams:letter``, ``lm_eval:NAME`` or ``mine.toml``."""
    if name.endswith(FILE) and ":" not in name:
        from bactrian.evaluate.tasks.declared import Declared

        return Declared(workspace, workspace.given(name))
    stem, told = naming.parts(name)
    kind = registry.find("tasks", stem)
    if not told:
        made: Task = kind(workspace, tokenizer)
        return made
    if len(inspect.signature(kind).parameters) < 3:
        raise ConfigError(f"{stem} has no variants, and {name} asks for one", f"write {stem}")
    variant: Task = kind(workspace, tokenizer, told)
    return variant


def items(task: Task, language: Language) -> Iterator[Item]:
    """Yield the items of a task, each looked at as it comes; DataError for one not in order."""
    return checked(task.items(language), f"{task.name} {language.code}", task.rules)


def blank(task: Task, language: Language) -> Item | None:
    """Return the item that asks the labels after no text, of a task that has one."""
    asked: Any = getattr(task, "blank", None)
    found: Item | None = asked(language) if asked else None
    return found
