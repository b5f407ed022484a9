"""The look at an answer when it comes: English is noticed, what may be English is let through."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.data.arrival import accepting
from bactrian.events import Event, reading
from bactrian.ledger import Ledger
from bactrian.providers import Answer, Request
from bactrian.providers.fill import Filled, fill
from bactrian.providers.terms import Terms

CODES = [language.code for language in languages.parse("all")]
OTHERS = [code for code in CODES if code != "en"]
ENGLISH = (
    "The capital of France is Paris, and it lies on the Seine. It is known for its museums. "
    "You should visit it in spring.",
    "To make tea, you need hot water and leaves. Pour the water over the leaves and wait. "
    "It is ready after three minutes.",
    "There are three reasons for this. First, the rivers carry less water than they did. Second, "
    "nobody has planted trees.",
    "Dear Sir, I am writing to you about the position that was advertised. I have worked with "
    "children for ten years. Thank you for your time.",
)
"""Answers of three sentences to a task in another language."""


def why(code: str, text: str, finish: str = "stop", moot: Sequence[str] = ()) -> str | None:
    return accepting(languages.get(code))({}, Answer(text, finish), moot)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("count", [1, 3, 5])
def test_real_sentences_in_the_language_are_accepted(
    code: str, count: int, sentences: Mapping[str, Sequence[str]]
) -> None:
    texts = sentences[code]
    for first in range(5):
        text = " ".join(texts[(first + number) % 5] for number in range(count))
        assert why(code, text) is None, text


@pytest.mark.parametrize("code", OTHERS)
def test_english_of_three_sentences_is_asked_again(
    code: str, sentences: Mapping[str, Sequence[str]]
) -> None:
    english = sentences["en"]
    turned = (" ".join(english[(first + number) % 5] for number in range(3)) for first in range(5))
    for text in (*ENGLISH, *turned):
        assert why(code, text) == "language", text
        assert why(code, text, moot={"language"}) is None  # type: ignore[arg-type]


def test_english_in_english_is_what_was_asked_for() -> None:
    assert {why("en", text) for text in ENGLISH} == {None}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "text",
    [
        "42",
        "3.14159",
        "x = (-b + sqrt(b^2 - 4ac)) / 2a",
        "$$E = mc^2$$",
        "```python\ndef add(first, second):\n    return first + second\n```",
        "SELECT name, age FROM people WHERE age > 30 ORDER BY name;",
        "https://en.wikipedia.org/wiki/The_Lord_of_the_Rings",
        "New York, Los Angeles, Chicago, Houston",
        "Leonardo da Vinci",
        "Yes",
        "",
        "😀 🐪 🎉",
    ],
)
def test_code_formulas_numbers_and_names_are_no_language(code: str, text: str) -> None:
    assert why(code, text) is None


REFUSALS = {
    "en": "I'm sorry, but as an AI language model, I cannot help with that.",
    "de": "Als KI-Sprachmodell kann ich diese Frage nicht beantworten.",
    "zh": "作为一个人工智能语言模型，我无法回答这个问题。",
    "vi": "Là một mô hình ngôn ngữ AI, tôi không thể trả lời câu hỏi này.",
    "es": "Como modelo de lenguaje de IA, no puedo responder a esa pregunta.",
    "km": "As an AI language model, I do not have access to that.",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_asked_again(code: str) -> None:
    assert why(code, REFUSALS[code]) == "refusal"
    assert why(code, REFUSALS[code], moot={"refusal", "language"}) is None  # type: ignore[arg-type]


def test_what_was_cut_short_is_asked_again_before_it_is_read() -> None:
    assert why("vi", ENGLISH[0], "length") == "length"
    assert why("vi", ENGLISH[0], "length", ["length"]) == "language"
    assert why("vi", "Xin chào", "length", ["length"]) is None


def test_an_answer_costs_little(sentences: Mapping[str, Sequence[str]]) -> None:
    took = {}
    for code in ("de", "hi", "zh", "km", "en"):
        accept, answer = accepting(languages.get(code)), Answer(" ".join(sentences[code]))
        accept({}, answer, ())
        began = time.process_time()
        for _ in range(200):
            accept({}, answer, ())
        took[code] = (time.process_time() - began) / 200
    # ten times what was measured, so that it fails for an algorithm and not for a busy machine
    assert max(took.values()) < 0.002, took


# -- asking again that does not help ---------------------------------------------------------------


class Stubborn:
    """Answers in English; after so many attempts at a request in Vietnamese."""

    name, batch = "stubborn:m", 1

    def __init__(self, learns_after: int) -> None:
        self.learns_after = learns_after
        self.asked = Counter[int]()

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer]:
        await asyncio.sleep(0)
        (request,) = requests
        self.asked[request["n"]] += 1
        good = self.asked[request["n"]] > self.learns_after
        text = "Thủ đô của Pháp là Paris, nằm bên sông Seine." if good else ENGLISH[0]
        return [Answer(text, tokens_out=30, cost_usd=0.001)]


def filled(path: Path, provider: Any, count: int = 200) -> tuple[Filled, list[str]]:
    """Ask for so many answers; return what was done and the warnings."""

    class Heard:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def see(self, event: Event) -> None:
            self.texts += [event.facts["text"]] if event.kind == "warning" else []

    heard = Heard()
    requests = ({"n": number, "texts": ["x"]} for number in range(count))
    terms = Terms(concurrency=8, accept=accepting(languages.get("vi")))
    with Ledger(path) as ledger, reading(heard):
        done = fill(ledger, requests, provider, "response", terms=terms, task="response vi")
    return done, heard.texts


def test_where_second_answers_are_no_better_asking_again_stops(tmp_path: Path) -> None:
    provider = Stubborn(learns_after=99)
    done, warnings = filled(tmp_path / "vi.sqlite", provider)
    assert (done.answered, done.failed) == (200, 0)
    again = sum(provider.asked.values()) - 200
    assert 20 <= again <= 20 + 2 * 8, "the first twenty, and what was in flight"
    assert again == done.charged == done.again["language"]
    assert done.cost_usd == pytest.approx((200 + again) * 0.001)
    assert len(warnings) == 1
    assert "asking again (language) does not help with stubborn:m" in warnings[0]


def test_where_it_helps_it_goes_on(tmp_path: Path) -> None:
    provider = Stubborn(learns_after=1)
    done, warnings = filled(tmp_path / "vi.sqlite", provider)
    assert warnings == []
    assert set(provider.asked.values()) == {2}
    assert done.charged == 200
    with Ledger(tmp_path / "vi.sqlite", read_only=True) as ledger:
        assert all(entry.output.startswith("Thủ đô") for entry in ledger.entries())
        assert all(charge.output == ENGLISH[0] for charge in ledger.charges())
