"""Chats inside a text: Guanaco's, BELLE's, OpenAssistant's."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.data.sources.shape import Misfit, Taken
from bactrian.data.sources.shapes.flat import Alpaca
from bactrian.data.sources.shapes.marked import Guanaco, OpenAssistantGuanaco

PLAIN = {"instruction": "列出三种水果", "input": "", "output": "苹果"}
CHAT = {
    "instruction": "User: 你好\nAssistant: 你好！\nWas ist das?\n",
    "input": "User: Und jetzt?",
    "output": "Jetzt auch.",
}


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        (PLAIN, Taken("列出三种水果", "", "苹果")),
        (CHAT, Taken("你好", "", "你好！\nWas ist das?", left_out={"later turns": 2})),
        (
            {"instruction": "User: 一\nAssistant:", "input": "", "output": "二"},
            Taken("一", "", "二"),
        ),
        (
            {"instruction": "", "input": "System: Wissen\nUser: Frage?", "output": "Ja."},
            Taken("Frage?", "", "Ja.", left_out={"system messages": 1}),
        ),
        (  # BELLE's chat of several turns
            {"instruction": "Human:今天\nAssistant:好\nHuman:明天\nAssistant:\n", "output": "雨"},
            Taken("今天", "", "好", left_out={"later turns": 2}),
        ),
        ({"instruction": "User：全角", "output": "好"}, Taken("全角", "", "好")),
        (  # a mark inside a line is no mark
            {"instruction": "Explain the term User: in chats", "output": "x"},
            Taken("Explain the term User: in chats", "", "x"),
        ),
        ({"instruction": "System: x", "output": "y"}, Taken("", unusable="no question")),
    ],
)
def test_the_first_question_is_taken_with_its_answer(row: dict[str, Any], taken: Taken) -> None:
    found = Guanaco().take(row)
    if taken.unusable:
        assert found.unusable == "the conversation has no question"
    else:
        assert found == taken


def test_a_chat_among_the_first_rows_makes_it_guanaco() -> None:
    assert Guanaco().fits([PLAIN, CHAT])
    assert not Alpaca().fits([PLAIN, CHAT])
    assert not Guanaco().fits([PLAIN, PLAIN])
    assert Alpaca().fits([PLAIN, PLAIN])


def test_openassistants_marks_stand_anywhere() -> None:
    shape = OpenAssistantGuanaco()
    text = "### Human: ¿Qué es?### Assistant: Es #3.\n\n## Título### Human: Más### Assistant: No"
    assert shape.fits([{"text": text}, {"text": "### Human: x"}])
    assert not shape.fits([{"text": text}, {"text": "plain"}])
    taken = Taken("¿Qué es?", "", "Es #3.\n\n## Título", left_out={"later turns": 2})
    assert shape.take({"text": text}) == taken
    assert shape.take({"text": "### Human: alone"}) == Taken("alone")
    assert shape.take({"text": "### Assistant: alone"}).unusable
    with pytest.raises(Misfit, match='expected a text under "text", found nothing'):
        shape.take({})
