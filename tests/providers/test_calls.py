"""Texts into calls and back: nothing lost, nothing paid twice, the limits kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from bactrian.errors import ProviderError
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request
from bactrian.providers.calls import Call, Heard, Limits, Once, Translated, translate

PRICE = Price(characters=1e6)
"""A dollar a character: sums are easy to see."""


def request(*texts: str, **settings: Any) -> Request:
    return {"source": "en", "target": "vi", **settings, "texts": list(texts)}


class Scripted:
    """Answers in capitals; texts that begin with a name of a failure get it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def ask(self, call: Call) -> Heard:
        self.calls.append(call)
        await asyncio.sleep(0)
        if "refuse" in call.texts:
            return NoAnswer("refused")
        if "raise" in call.texts:
            raise ProviderError("no key", "set it")
        if "short" in call.texts:
            return Translated(call.texts[:-1])
        if "busy" in call.texts:
            return Again("limit", "busy", 3.0)
        return Translated([text.upper() if text != "void" else "" for text in call.texts])

    def run(self, requests: Sequence[Request], limits: Limits) -> list[Outcome]:
        return asyncio.run(translate(requests, limits, PRICE, self.ask))


def outputs(found: Sequence[Outcome]) -> list[Any]:
    return [orjson.loads(one.output) if isinstance(one, Answer) else one for one in found]


def test_requests_with_the_same_settings_share_a_call() -> None:
    scripted = Scripted()
    requests = [request("a", ""), request("b", target="km"), request("c"), request("", " ")]
    assert outputs(scripted.run(requests, Limits(10, 100))) == [["A", ""], ["B"], ["C"], ["", " "]]
    assert [call.texts for call in scripted.calls] == [("a", "c"), ("b",)]
    assert scripted.calls[1].settings == {"source": "en", "target": "km"}


@pytest.mark.parametrize("seed", range(20))
def test_every_text_comes_back_to_its_place_within_the_limits(seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(chance.randint(1, 7), chance.randint(12, 40))
    rows = [
        ["x𝒳ж"[:3] * chance.randint(0, 4) for _ in range(chance.randint(1, 9))] for _ in range(30)
    ]
    scripted = Scripted()
    found = scripted.run([request(*row) for row in rows], limits)
    assert outputs(found) == [[text.upper() for text in row] for row in rows]
    sent = sum(len(text) for row in rows for text in row)
    assert sum(one.characters for one in found if isinstance(one, Answer)) == sent
    assert sum(one.cost_usd for one in found if isinstance(one, Answer)) == sent
    assert sum(len(text) for call in scripted.calls for text in call.texts) == sent
    for call in scripted.calls:
        assert len(call.texts) <= limits.texts
        assert sum(map(len, call.texts)) <= limits.size


def test_a_refused_call_is_asked_for_again_one_request_at_a_time() -> None:
    scripted = Scripted()
    found = scripted.run([request("a"), request("refuse"), request("b")], Limits(10, 100))
    assert outputs(found) == [["A"], NoAnswer("refused"), ["B"]]
    texts = [call.texts for call in scripted.calls]
    assert texts == [("a", "refuse", "b"), ("a",), ("refuse",), ("b",)]


def test_what_was_answered_in_another_call_is_not_asked_for_again() -> None:
    scripted = Scripted()
    found = scripted.run([request("a", "b", "c"), request("refuse")], Limits(2, 100))
    assert outputs(found) == [["A", "B", "C"], NoAnswer("refused")]
    texts = [call.texts for call in scripted.calls]
    assert texts == [("a", "b"), ("c", "refuse"), ("c",), ("refuse",)]


def test_a_refused_request_alone_is_not_asked_twice() -> None:
    scripted = Scripted()
    assert scripted.run([request("refuse")], Limits(10, 100)) == [NoAnswer("refused")]
    assert len(scripted.calls) == 1


def test_a_text_beyond_the_limit_is_refused_here() -> None:
    scripted = Scripted()
    found = scripted.run([request("x" * 11), request("a")], Limits(10, 10))
    assert outputs(found) == [NoAnswer("a text of 11 characters; one call takes 10"), ["A"]]
    assert [call.texts for call in scripted.calls] == [("a",)]


def test_what_came_back_for_nothing_is_billed() -> None:
    found = Scripted().run([request("short", "b")], Limits(10, 100))
    billed = Answer("", "lost", characters=6, cost_usd=6.0)
    assert found == [Again("malformed", "2 texts sent, 1 came back", billed=billed)]
    found = Scripted().run([request("void", "b")], Limits(10, 100))
    billed = Answer("", "lost", characters=5, cost_usd=5.0)
    assert found == [Again("empty", "an empty translation", billed=billed)]


def test_a_half_that_was_paid_for_is_billed_when_the_other_has_to_wait() -> None:
    found = Scripted().run([request("aa", "busy")], Limits(1, 100))
    billed = Answer("", "lost", characters=2, cost_usd=2.0)
    assert found == [Again("limit", "busy", 3.0, billed)]
    assert Scripted().run([request("busy")], Limits(1, 100)) == [Again("limit", "busy", 3.0)]


def test_what_ends_the_run_does_so_with_nothing_on_the_table() -> None:
    with pytest.raises(ProviderError, match="no key"):
        Scripted().run([request("raise"), request("busy")], Limits(1, 100))
    first, second = Scripted().run([request("raise"), request("a")], Limits(1, 100))
    assert first == Again("server", "no key", 0.0)
    assert isinstance(second, Answer)


def test_the_service_s_own_count_is_the_one_that_is_billed() -> None:
    async def ask(call: Call) -> Heard:
        return Translated(call.texts, [7] * len(call.texts))

    (answer,) = asyncio.run(translate([request("a", "", "b")], Limits(9, 99), PRICE, ask))
    assert isinstance(answer, Answer)
    assert (answer.characters, answer.cost_usd) == (14, 14.0)


def test_a_question_to_the_server_is_asked_once_and_again_after_a_failure() -> None:
    replies: list[str | Again] = [Again("network"), "told", "never"]
    asked = 0

    async def ask() -> str | Again:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return replies.pop(0)

    async def scenario() -> None:
        once = Once(ask)
        first = await asyncio.gather(*(once() for _ in range(5)))
        assert first == [Again("network")] * 5
        assert await asyncio.gather(*(once() for _ in range(5))) == ["told"] * 5
        assert await once() == "told"
        assert asked == 2
        once.forget()
        assert await once() == "never"

    asyncio.run(scenario())
