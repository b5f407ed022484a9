"""The TOML file that tells a run everything: read, overridden, written back resolved.

Unknown keys are refused before anything is loaded, with the nearest known one as the hint.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError

from bactrian.errors import ConfigError, did_you_mean
from bactrian.recipe.sections import (
    CONTRADICTION,
    Budget,
    Build,
    Check,
    Eval,
    Lora,
    Price,
    Provider,
    Recipe,
    Respond,
    Source,
    Train,
    Translate,
)

__all__ = [
    "Budget",
    "Build",
    "Check",
    "Eval",
    "Lora",
    "Price",
    "Provider",
    "Recipe",
    "Respond",
    "Source",
    "Train",
    "Translate",
    "dumps",
    "load",
    "of_values",
]


def load(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are ``section.key=value``, values as in TOML or bare words.

    Raises ConfigError for a missing file, a file that is no TOML, unknown keys and wrong values.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", "name a recipe, or a folder with one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}",
            'write lines like key = "value" under [section] headings',
        ) from None
    return of_values(told, str(path), overrides)


def of_values(told: dict[str, Any], called: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return the recipe of plain values, as TOML gives them; ``called`` names it in errors."""
    for override in overrides:
        _override(told, override)
    return _validated(told, called)


def dumps(recipe: Recipe) -> str:
    """Return the recipe as TOML with every default filled in."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def _override(told: dict[str, Any], override: str) -> None:
    """Set one dotted key; a value that is no TOML is taken as a string."""
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override} has no =", "write --set section.key=value")
    *path, last = key.strip().split(".")
    section = told
    for part in path:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override}: {part} is not a section", "see docs/recipe.md")
    try:
        section[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        section[last] = value


def _validated(told: dict[str, Any], path: str) -> Recipe:
    try:
        return Recipe.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = tuple(str(part) for part in first["loc"])
        dotted = ".".join(place)
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(place[-1], _keys_at(place[:-1]))
            raise ConfigError(f"{path}: unknown key {dotted}", hint) from None
        if first["type"] == CONTRADICTION:
            raise ConfigError(f"{path}: {first['ctx']['problem']}", first["ctx"]["hint"]) from None
        if len(place) == 2 and place[0] == "sources":
            raise ConfigError(
                f"{path}: {dotted} belongs to no collection",
                'a collection has a name: [sources.alpaca] files = ["alpaca.json"]',
            ) from None
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(
            f"{path}: {dotted} = {first['input']!r}: {said}", _help_at(place)
        ) from None


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, dict):
        return next(filter(None, map(_section_of, get_args(annotation))), None)
    return None


def _section_at(place: tuple[str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Recipe
    named = False  # the next part is a name that the user gave: sources.alpaca
    for part in place:
        if named:
            named = False
            continue
        field = section.model_fields.get(part)
        inner = _section_of(field.annotation) if field else None
        if field is None or inner is None:
            break
        section, named = inner, get_origin(field.annotation) is dict
    return section


def _keys_at(place: tuple[str, ...]) -> list[str]:
    return list(_section_at(place).model_fields)


def _help_at(place: tuple[str, ...]) -> str:
    """Return the sentence of the field that a wrong value was given to."""
    section = _section_at(place)
    for part in reversed(place):
        field = section.model_fields.get(part)
        if field is not None and field.description:
            return " ".join(field.description.split())
    return "see docs/recipe.md"
