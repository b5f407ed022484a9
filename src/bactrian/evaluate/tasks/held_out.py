"""How surprised a model is by the answers held out of training, in bits a byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, Rules
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
        """Return the languages of the dataset, or those the recipe names for this task."""
        told = self.workspace.recipe.eval.languages.get(self.name)
        return parse(told) if told else self.workspace.languages

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
