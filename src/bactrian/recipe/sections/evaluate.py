"""What is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bactrian.recipe.sections.section import Count, Section


class Eval(Section):
    """What is measured, and on how much of it."""

    tasks: tuple[str, ...] = ("held-out",)
    """Tasks by registered name."""
    languages: dict[str, str] = Field(default_factory=dict)
    """Languages by task, where they are not the recipe's own: xcopa = "zh,et,th"."""
    data: dict[str, str] = Field(default_factory=dict)
    """Folder with the data by task, relative to the recipe's folder."""
    batch_tokens: Count = 4096
    """Tokens scored at once, padding included."""
    samples: Annotated[int, Field(ge=0)] = 0
    """Held-out instructions a language that every model answers for the report."""
    sample_tokens: Count = 64
    """Longest of these answers, in tokens."""
    draws: Count = 10_000
    """Draws of the bootstrap behind the intervals."""
