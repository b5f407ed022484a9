"""Conversations as lists of messages: ShareGPT's and OpenAI's."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.data.sources.shape import Misfit, Shape, Taken
from bactrian.data.sources.shapes.chats import Messages, ShareGPT


def gpt(*said: tuple[str, str]) -> dict[str, Any]:
    return {"id": "QWJ_0", "conversations": [{"from": who, "value": text} for who, text in said]}


def openai(*said: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": who, "content": content} for who, content in said]}


def test_the_first_question_of_sharegpt_is_taken_with_its_answer() -> None:
    row = gpt(("system", "s"), ("human", "你好"), ("gpt", "您好"), ("human", "x"), ("gpt", "y"))
    left_out = {"system messages": 1, "later turns": 2}
    assert ShareGPT().take(row) == Taken("你好", "", "您好", "QWJ_0", left_out)


def test_columns_of_a_conversation_are_read_as_its_messages() -> None:
    row = {"conversations": {"from": ["human", "gpt"], "value": ["q", "a"]}}
    assert ShareGPT().fits([row])
    assert ShareGPT().take(row) == Taken("q", "", "a")


def test_content_may_be_a_list_of_parts() -> None:
    parts = [{"type": "text", "text": "eins"}, {"type": "input_text", "text": "zwei"}]
    row = openai(("developer", "x"), ("user", parts), ("assistant", "drei"))
    taken = Taken("eins\nzwei", "", "drei", left_out={"system messages": 1})
    assert Messages().take(row) == taken


def test_a_picture_in_the_question_makes_the_row_unusable() -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}]
    found = Messages().take(openai(("user", parts), ("assistant", "A camel.")))
    assert found.unusable == "it is not all text: image_url"


@pytest.mark.parametrize("key", ["tool_calls", "function_call"])
def test_a_tool_call_is_no_answer(key: str) -> None:
    row = openai(("user", "weather?"))
    row["messages"] += [{"role": "assistant", "content": None, key: [{}]}]
    assert Messages().take(row).unusable == "the first answer is a tool call"


@pytest.mark.parametrize(
    ("shape", "row", "told"),
    [
        (ShareGPT(), {}, 'expected a list under "conversations", found nothing'),
        (ShareGPT(), {"conversations": "x"}, 'expected a list under "conversations", found a text'),
        (ShareGPT(), {"conversations": [3]}, 'expected an object in "conversations", found a num'),
        (ShareGPT(), gpt(("narrator", "x")), "unknown role 'narrator'"),
        (Messages(), openai(("user", 5)), 'expected a text under "content", found a number'),
        (Messages(), openai(("user", ["x"])), 'expected an object in "content", found a text'),
        (Messages(), openai(("user", "\udc2a")), "found half of one"),
        (Messages(), {"messages": [{"content": "x"}]}, "unknown role None"),
    ],
)
def test_what_is_no_conversation_is_said(shape: Shape, row: dict[str, Any], told: str) -> None:
    with pytest.raises(Misfit) as misfit:
        shape.take(row)
    assert told in misfit.value.problem


def test_each_fits_its_own_rows() -> None:
    a, b = gpt(("human", "x")), openai(("user", "x"))
    assert ShareGPT().fits([a, gpt()])
    assert Messages().fits([b])
    assert not ShareGPT().fits([a, b])
    assert not Messages().fits([a])
