"""What all sections of a recipe are, and how two of their keys may contradict each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]

CONTRADICTION = "contradiction"
"""Type of the errors that ``refused`` makes; their context has ``problem`` and ``hint``."""


class Section(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def refused(problem: str, hint: str) -> PydanticCustomError:
    """Return the error of settings that cannot be meant together: the keys, and the next step."""
    told = {"problem": problem, "hint": hint}
    return PydanticCustomError(CONTRADICTION, "{problem}", told)
