"""What a run can be told: one class a section of the recipe. Knows nothing of files.

A field's own sentence is the help text, the documentation and the comment in the written recipe.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bactrian.recipe.sections.data import (
    Budget,
    Build,
    Check,
    Price,
    Provider,
    Respond,
    Source,
    Translate,
)
from bactrian.recipe.sections.evaluate import Eval
from bactrian.recipe.sections.section import CONTRADICTION, Section
from bactrian.recipe.sections.train import Lora, Train

__all__ = [
    "CONTRADICTION",
    "Budget",
    "Build",
    "Check",
    "Eval",
    "Lora",
    "Price",
    "Provider",
    "Recipe",
    "Respond",
    "Section",
    "Source",
    "Train",
    "Translate",
]


class Recipe(Section):
    """Everything a run was told."""

    name: Annotated[str, Field(pattern=r"^[^./\\\s][^/\\\x00-\x1f]*$")] = "run"
    """Names the dataset, the results and the runs."""
    languages: str = "all"
    """Target languages: codes, all, seen:llama, unseen:bloom, group:indic, joined by commas."""
    seed: int = 0
    """Every random choice follows from it."""
    limit: Annotated[int, Field(ge=0)] = 0
    """First rows (of a language) or items (of a task) that a verb works on; 0 means all."""
    network: bool = False
    """Whether the Hub may be asked for models and data; providers follow their own section."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """Collections by name, see [sources.<name>]."""
    budget: Budget = Budget()
    translate: Translate = Translate()
    respond: Respond = Respond()
    check: Check = Check()
    build: Build = Build()
    train: Train = Train()
    eval: Eval = Eval()

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of all collections, each once."""
        named = (source.licence for source in self.sources.values() if source.licence)
        return tuple(dict.fromkeys(named))
