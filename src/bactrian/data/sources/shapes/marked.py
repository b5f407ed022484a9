"""Conversations inside a text, each turn behind a mark: Guanaco's, BELLE's and OpenAssistant's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bactrian.data.sources.dialogue import Turn, example_of, role_of
from bactrian.data.sources.shape import RowOf, Taken, id_of, text_of

MARK = re.compile(r"^[ \t]*(User|Human|Assistant|System)[ \t]*[:：]", re.MULTILINE)
"""Guanaco and BELLE write the mark at the beginning of a line."""
FIRST = re.compile(r"\s*(?:User|Human|System)[ \t]*[:：]")
HASHED = re.compile(r"###[ \t]*(Human|User|Assistant|System)[ \t]*[:：]")
"""OpenAssistant-Guanaco writes it anywhere: an answer runs into ``### Human:``."""


def begins_marked(row: RowOf) -> bool:
    """Return whether the instruction, or where there is none the input, begins with a mark."""
    for name in ("instruction", "input"):
        text = row.get(name)
        if isinstance(text, str) and text.strip():
            return bool(FIRST.match(text))
    return False


class Guanaco:
    """Alpaca's keys, where the instruction holds the turns before and the input the new question.

    Rows without marks are Alpaca's (GuanacoDataset mixes both); BELLE's ``Human:`` is read, too.
    """

    example = (
        'each row looks like {"instruction": "User: …\\nAssistant: …\\n", "input": "User: …", '
        '"output": "…"}'
    )

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have Alpaca's keys and some begin with a mark."""
        keys = ("instruction", "output")
        return all(key in row for row in rows for key in keys) and any(map(begins_marked, rows))

    def take(self, row: RowOf) -> Taken:
        """Return the first question and its answer, or the row as it is where it holds no chat."""
        instruction = text_of(row, "instruction", needed=True)
        input, output = text_of(row, "input"), text_of(row, "output")
        if not begins_marked(row):
            return Taken(instruction, input, output, id_of(row))
        asked = [*_split(MARK, instruction), *_split(MARK, input)]
        if asked and asked[-1].role == "assistant" and not asked[-1].text:
            asked.pop()  # the mark behind which the output stands
        return example_of([*asked, Turn("assistant", output)], id_of(row))


class OpenAssistantGuanaco:
    """``text``: ``### Human: …### Assistant: …`` and so on (Dettmers et al. 2023)."""

    example = 'each row looks like {"text": "### Human: …### Assistant: …"}'

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether every text begins with a mark."""
        return all(
            isinstance(text := row.get("text"), str) and HASHED.match(text.lstrip()) for row in rows
        )

    def take(self, row: RowOf) -> Taken:
        """Return the first question and its answer."""
        text = text_of(row, "text", needed=True)
        return example_of(list(_split(HASHED, text)), id_of(row))


def _split(mark: re.Pattern[str], text: str) -> list[Turn]:
    """Return the turns of a text; what stands before the first mark is the user's."""
    found = list(mark.finditer(text))
    roles = ["user", *(one[1] for one in found)]
    begins = [0, *(one.end() for one in found)]
    ends = [*(one.start() for one in found), len(text)]
    turns = [
        Turn(role_of(role), text[begin:end].strip())
        for role, begin, end in zip(roles, begins, ends, strict=True)
    ]
    return turns if turns[0].text else turns[1:]
