"""Makes one example of a conversation: the first question and its answer; the rest is counted.

Knows no file and no keys: a conversation is a list of turns with a role and a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from bactrian.data.sources.shape import Misfit, Taken

Role = Literal["user", "assistant", "system", "tool"]

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bot", "model", "ai", "bing", "bard", "claude"),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(
        (
            *("tool", "function", "function_call", "function_response", "function-call"),
            *("observation", "ipython", "tool_call", "tool_response"),
        ),
        "tool",
    ),
}
"""What published collections call those who speak."""
JOINT = "\n\n"
"""Between two messages that one side sends in a row."""


class Turn(NamedTuple):
    """What one side says until the other one speaks."""

    role: Role
    text: str
    foreign: str = ""
    """What it holds besides text, such as ``image_url``."""


def role_of(name: object) -> Role:
    """Return the role behind a name; raises Misfit with those that are known."""
    found = ROLES.get(name.strip().casefold()) if isinstance(name, str) else None
    if found is None:
        raise Misfit(f"unknown role {name!r}", f"known are: {', '.join(ROLES)}")
    return found


def example_of(messages: Sequence[Turn], id: str = "") -> Taken:
    """Return the first question of the conversation and its answer.

    What is not taken is counted: ``later turns`` (after the first answer, both sides), ``openings``
    (answers before the first question), ``system messages``. Where the first question or its answer
    is no text, or is missing, the conversation is unusable and says why.
    """
    left_out: dict[str, int] = {}
    if systems := sum(message.role == "system" for message in messages):
        left_out["system messages"] = systems
    turns = _turns([message for message in messages if message.role != "system"])
    first = next((place for place, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        return Taken("", id=id, unusable="the conversation has no question")
    if first:
        left_out["openings"] = first
    asked, *after = turns[first:]
    if len(after) > 1:
        left_out["later turns"] = len(after) - 1
    answer = after[0] if after else Turn("assistant", "")
    if foreign := asked.foreign or answer.foreign:
        return Taken(asked.text, "", answer.text, id, left_out, f"it is not all text: {foreign}")
    if answer.role == "tool":
        return Taken(asked.text, "", "", id, left_out, "the first answer is a tool call")
    return Taken(asked.text, "", answer.text, id, left_out)


def _turns(messages: Sequence[Turn]) -> list[Turn]:
    """Return what each side says in a row as one turn."""
    turns = []
    for role, said in groupby(messages, key=lambda message: message.role):
        parts = list(said)
        foreign = next((part.foreign for part in parts if part.foreign), "")
        turns.append(Turn(role, JOINT.join(part.text for part in parts), foreign))
    return turns
