"""Every key of a recipe as a page: the same sentences that the settings carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel

from bactrian.recipe.sections import Recipe

MARK = "<!-- below: made from the settings by `make docs` -->"


def reference() -> str:
    """Return the sections as Markdown tables, in the order of the recipe."""
    return "\n".join([MARK, "", *_section(Recipe, "")])


def _section(section: type[BaseModel], name: str) -> Iterator[str]:
    inner: list[tuple[str, type[BaseModel]]] = []
    yield f"## [{name}]" if name else "## Top level"
    yield ""
    if section.__doc__:
        yield f"{section.__doc__}\n"
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for key, field in section.model_fields.items():
        kind = field.annotation
        place = f"{name}.{key}" if name else key
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((place, kind))
            continue
        of = get_args(kind)[1] if get_origin(kind) is dict else None
        if isinstance(of, type) and issubclass(of, BaseModel):
            inner.append((f"{place}.<name>", of))
            continue
        default = field.get_default(call_default_factory=True)
        yield f"| `{key}` | `{_toml(default)}` | {_line(field.description)} |"
    yield ""
    for place, kind in inner:
        yield from _section(kind, place)


def _line(description: str | None) -> str:
    return " ".join((description or "").split()).replace("|", "\\|")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if value is None or value == {}:
        return " "
    return str(value)
