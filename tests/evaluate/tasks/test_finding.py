"""Names to tasks: registered, varied, with a prefix, in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian import registry
from bactrian.errors import ConfigError
from bactrian.evaluate.tasks import Item, Rules
from bactrian.evaluate.tasks.finding import tasks
from bactrian.languages import Language
from bactrian.recipe import Eval, Recipe
from bactrian.workspace import Workspace


class Plain:
    """A task of ten lines."""

    name = "plain"
    rules = Rules("acc", "together", ())
    parallel = False

    def __init__(self, workspace: Workspace, tokenizer: Any = None) -> None:
        self.workspace = workspace

    def languages(self) -> tuple[Language, ...]:
        return self.workspace.languages

    def items(self, language: Language) -> Iterator[Item]:
        yield Item("1", "Two and two are", (" four", " five"))


class Prefixed(Plain):
    """A task that is told the rest of its name."""

    def __init__(self, workspace: Workspace, tokenizer: Any = None, told: str = "") -> None:
        super().__init__(workspace, tokenizer)
        self.name = f"prefixed{told}"


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register both as a plug-in would."""
    find = registry.find
    mine = {"plain": Plain, "prefixed": Prefixed}
    monkeypatch.setattr(registry, "find", lambda kind, name: mine.get(name) or find(kind, name))


def found(*names: str) -> list[str]:
    recipe = Recipe(languages="en", eval=Eval(tasks=names))
    return [task.name for task in tasks(Workspace(Path(), recipe, Path()))]


def test_a_name_is_a_task_a_variant_or_a_prefix() -> None:
    assert found("plain", "exams:letter", "xcopa@lm-eval", "prefixed:a@b:c") == [
        "plain",
        "exams:letter",
        "xcopa@lm-eval",
        "prefixed:a@b:c",
    ]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("xcoppa",), "unknown task xcoppa"),
        (("xcoppa:letter",), "unknown task xcoppa"),
        (("plain:letter",), "plain has no variants, and plain:letter asks for one"),
        (("held-out:letter",), "held-out has no variants"),
        (("exams", "exams:cloze"), "the task exams is named twice"),
        (("sib200:letter",), "sib200 has no form letter"),
    ],
)
def test_what_cannot_be_meant_is_refused(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        found(*names)
