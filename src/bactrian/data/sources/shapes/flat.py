"""Rows that hold their texts under a key each: Alpaca, Dolly, and pairs of a prompt and an answer.

Alpaca's keys are also those of Bactrian-X, BELLE, Chinese Alpaca and Guanaco's rows without a chat.
"""

from __future__ import annotations

from collections.abc import Sequence

from bactrian.data.sources.shape import Misfit, RowOf, Taken, id_of, text_of
from bactrian.data.sources.shapes.marked import begins_marked

PAIRS = (
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "response"),
    ("question", "answer"),
)
"""Keys of the prompt and of its answer: Vietnamese GPT4VN, OpenAI's old files, OpenOrca, GSM8K."""


class Alpaca:
    """``instruction``, ``input``, ``output`` (Taori et al. 2023); an ``id`` is kept."""

    example = 'each row looks like {"instruction": "…", "input": "", "output": "…"}'

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have an instruction, no other shape's keys, and no chat in them."""
        foreign = ("response", "instances", "conversations", "messages")
        return all(
            "instruction" in row and not any(key in row for key in foreign) for row in rows
        ) and not any(map(begins_marked, rows))

    def take(self, row: RowOf) -> Taken:
        """Return the three texts and the id."""
        return Taken(
            text_of(row, "instruction", needed=True),
            text_of(row, "input"),
            text_of(row, "output"),
            id_of(row),
        )


class Dolly:
    """``instruction``, ``context``, ``response``, ``category`` (Conover et al. 2023)."""

    example = 'each row looks like {"instruction": "…", "context": "", "response": "…"}'

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have an instruction and a response."""
        return all(
            "instruction" in row and "response" in row and "output" not in row for row in rows
        )

    def take(self, row: RowOf) -> Taken:
        """Return the context as the input and the response as the output."""
        return Taken(
            text_of(row, "instruction", needed=True),
            text_of(row, "context"),
            text_of(row, "response", needed=True),
            id_of(row),
        )


class Pairs:
    """A prompt or question, and a response, completion or answer; no input."""

    example = 'each row looks like {"prompt": "…", "response": "…"}'

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether all rows have one pair of keys, and no key of another shape."""
        foreign = ("instruction", "conversations", "messages")
        return len(self._pairs(rows)) == 1 and not any(
            key in row for row in rows for key in foreign
        )

    def take(self, row: RowOf) -> Taken:
        """Return the prompt as the instruction, the answer as the output."""
        pairs = self._pairs([row])
        if len(pairs) != 1:
            raise Misfit(f"expected one prompt with one answer, found {len(pairs)}")
        ((prompt, answer),) = pairs
        system = text_of(row, "system_prompt")
        return Taken(
            text_of(row, prompt, needed=True),
            "",
            text_of(row, answer, needed=True),
            id_of(row),
            {"system messages": 1} if system else {},
        )

    @staticmethod
    def _pairs(rows: Sequence[RowOf]) -> list[tuple[str, str]]:
        return [pair for pair in PAIRS if all(key in row for row in rows for key in pair)]


class SelfInstruct:
    """Seed tasks: an instruction with ``instances`` of input and output (Wang et al. 2023)."""

    example = (
        'each row looks like {"instruction": "…", "instances": [{"input": "", "output": "…"}]}'
    )

    def fits(self, rows: Sequence[RowOf]) -> bool:
        """Say whether the rows have an instruction and instances."""
        return all("instruction" in row and "instances" in row for row in rows)

    def take(self, row: RowOf) -> Taken:
        """Return the instruction with its first instance; further instances are counted."""
        instances = row.get("instances")
        if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
            raise Misfit('expected a list of objects under "instances"')
        first = instances[0] if instances else {}
        further = len(instances) - 1
        return Taken(
            text_of(row, "instruction", needed=True),
            text_of(first, "input"),
            text_of(first, "output"),
            id_of(row),
            {"further instances": further} if further > 0 else {},
        )
