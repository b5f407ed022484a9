"""Conversations as lists: ShareGPT's ``conversations`` and OpenAI's ``messages``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bactrian.data.sources.dialogue import Turn, example_of, role_of
from bactrian.data.sources.json_faults import kind_of
from bactrian.data.sources.shape import Misfit, RowOf, Taken, id_of, text_of, whole


class ShareGPT:
    """``conversations``: a list of ``from`` (human, gpt, system) and ``value``."""

    example = 'each row looks like {"conversations": [{"from": "human", "value": "…"}, …]}'
    keys = ("conversations", "from", "value")

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have such a list, and every message of it such keys."""
        return _fit(rows, *self.keys)

    def take(self, row: RowOf) -> Taken:
        """Return the first question and its answer."""
        return example_of(list(_messages(row, *self.keys)), id_of(row))


class Messages:
    """``messages``: a list of ``role`` and ``content``, a text or a list of parts (OpenAI)."""

    example = 'each row looks like {"messages": [{"role": "user", "content": "…"}, …]}'
    keys = ("messages", "role", "content")

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have such a list, and every message of it such keys."""
        return _fit(rows, *self.keys)

    def take(self, row: RowOf) -> Taken:
        """Return the first question and its answer."""
        return example_of(list(_messages(row, *self.keys)), id_of(row))


def _fit(rows: Sequence[RowOf], name: str, role: str, content: str) -> bool:
    return all(
        name in row
        and isinstance(listed := _listed(row[name]), list)
        and all(isinstance(one, dict) and role in one and content in one for one in listed)
        for row in rows
    )


def _messages(row: RowOf, name: str, role: str, content: str) -> Iterator[Turn]:
    listed = _listed(row.get(name))
    if not isinstance(listed, list):
        found = kind_of(listed) if name in row else "nothing"
        raise Misfit(f'expected a list under "{name}", found {found}')
    for message in listed:
        if not isinstance(message, dict):
            raise Misfit(f'expected an object in "{name}", found {kind_of(message)}')
        by = role_of(message.get(role))
        if message.get("tool_calls") or message.get("function_call"):
            by = "tool"
        yield Turn(by, *_content(message, content))


def _content(message: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Return the text of a message, and the kind of its first part that is none."""
    parts = message.get(name)
    if not isinstance(parts, list):
        return text_of(message, name), ""
    texts, foreign = [], ""
    for part in parts:
        if not isinstance(part, dict):
            raise Misfit(f'expected an object in "{name}", found {kind_of(part)}')
        kind = part.get("type") or "text"
        if kind in ("text", "input_text", "output_text"):
            texts.append(text_of(part, "text"))
        else:
            foreign = foreign or whole(str(kind), "type")
    return "\n".join(texts), foreign


def _listed(value: Any) -> Any:
    """Return an object of lists, as some readers give a list of objects, as that list."""
    if not isinstance(value, dict) or not all(isinstance(one, list) for one in value.values()):
        return value
    try:
        columns = zip(*value.values(), strict=True)
        return [dict(zip(value, parts, strict=True)) for parts in columns]
    except ValueError:  # lists of different lengths are no columns
        return value
