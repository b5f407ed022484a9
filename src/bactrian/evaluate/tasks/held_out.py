"""How surprised a model is by the answers held out of training, in bits a byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, Rules
from bactrian.events import emit
from bactrian.languages import Language, parse
from bactrian.models import prompts
from bactrian.workspace import Workspace


class HeldOut:
    """The validation ids of the dataset; the prompt is that of training, EOS is not scored."""

    name = "held-out"
    parallel = True

    def __init__(self, workspace: Workspace, tokenizer: Any = None) -> None:
        self.workspace = workspace
        self.tokenizer = tokenizer
        self.told = prompts.told(workspace.recipe.train.prompt, workspace.recipe_folder)
        self.rules = Rules("bits_per_byte", "apart", (("prompt", self.told.mark), ("eos", "no")))

    def languages(self) -> tuple[Language, ...]:
        """Return the languages of the dataset, or those the recipe names for this task.

        ``all`` is every language with held-out rows; the others are told.
        """
        found, absent = with_rows(self.workspace, self.name)
        if absent:
            emit("note", text=f"{self.name}: no held-out rows in {', '.join(absent)}")
        return found

    def items(self, language: Language) -> Iterator[Item]:
        """Yield one item for each held-out id."""
        path = self.workspace.split(language.code, "validation")
        found = table.info(path)
        if found is None or not found.rows:
            raise DataError(
                f"{path} {'has no rows' if found else 'does not exist'}",
                "run bactrian build with build.validation above zero",
            )
        style = prompts.style(self.told, self.tokenizer)
        for row in islice(table.read(path), self.workspace.recipe.limit or None):
            example = row.example
            context = style.render(example.instruction, example.input)
            yield Item(example.id, context, (example.output,))


def with_rows(workspace: Workspace, task: str) -> tuple[tuple[Language, ...], list[str]]:
    """Return the languages to ask held-out rows of, and the codes of those that have none.

    Where languages are named, a missing one is kept, to be refused by name; ``all`` is every
    language that the dataset has rows of, or all of them where it has none at all.
    """
    told = workspace.recipe.eval.languages.get(task) or workspace.recipe.languages
    languages = parse(told)
    if told.strip() != "all":
        return languages, []
    there = [
        bool((found := table.info(workspace.split(one.code, "validation"))) and found.rows)
        for one in languages
    ]
    if not any(there):
        return languages, []
    pairs = list(zip(languages, there, strict=True))
    return tuple(one for one, has in pairs if has), [one.code for one, has in pairs if not has]
