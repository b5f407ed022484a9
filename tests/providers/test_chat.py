"""OpenAI's protocol: the body that is sent, every reply that is known to come back, its cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian import languages
from bactrian.errors import ConfigError, ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Ledger, key_of
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request, Told
from bactrian.providers.chat import OpenAIChat, guessed, read
from bactrian.providers.fill import Filled, fill
from bactrian.providers.http import Lane, Reply
from bactrian.providers.secrets import Key
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond
from bactrian.schema import Instruction

SECRET = "sk-very-secret-1234567890"
PRICE = Price(input=1e6, output=2e6)
"""A dollar a token in, two a token out."""
VIETNAMESE, KHMER = languages.get("vi"), languages.get("km")
ROW = Instruction("a-1", "vi", "Dịch câu này", "Xin chào")
REQUEST: Request = {"messages": [{"role": "user", "content": "x" * 90}], "max_tokens": 100}

Serve = Callable[..., Any]


def chat(folder: Path = Path(), **section: Any) -> OpenAIChat:
    return OpenAIChat(Told(Respond(model="gpt-4o-mini", **section), folder, PRICE))


def completion(content: Any = "Chào", **more: Any) -> dict[str, Any]:
    """Return a reply as OpenAI's reference shows it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, "refusal": None}}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "usage": usage}
    return {**told, "choices": [{**choice, "finish_reason": "stop", **more}]}


def reading_of(told: Any, request: Request = REQUEST) -> Outcome:
    data = told if isinstance(told, bytes) else orjson.dumps(told)
    return read(Reply(200, {}, data, Lane("http://x", Key("K", SECRET), {})), PRICE, request)


# -- what is sent -------------------------------------------------------------------------


def test_a_request_is_the_body_that_is_sent() -> None:
    # pinned: a change of the body would make everybody pay again
    asked = chat().request(ROW, VIETNAMESE)
    message = {"role": "user", "content": "Dịch câu này\n\nXin chào"}
    assert asked == {
        "model": "gpt-4o-mini",
        "messages": [message],
        "max_tokens": 1024,
        "temperature": 0.7,
    }
    assert key_of(asked) == "2db69bc65585ad614b88929883b8f6eb"


def test_a_system_prompt_is_that_of_the_language() -> None:
    model = chat(system="Answer in {language}.", systems={"km": "សូមឆ្លើយ {language}"})
    assert model.request(ROW, VIETNAMESE)["messages"][0] == {
        "role": "system",
        "content": "Answer in Vietnamese.",
    }
    assert model.request(ROW, KHMER)["messages"][0]["content"] == "សូមឆ្លើយ Khmer"


def test_options_go_into_the_body_and_take_the_place_of_what_is_usual() -> None:
    options = {"max_completion_tokens": 50, "temperature": 1.0, "seed": 7}
    asked = chat(options=options).request(Instruction("a", "vi", "Dịch"), VIETNAMESE)
    assert asked == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Dịch"}],
        **options,
    }


def test_a_recipe_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no chat model"):
        OpenAIChat(Told(Respond(), Path()))


def test_the_keys_of_52_languages_are_all_different(sentences: Mapping[str, Sequence[str]]) -> None:
    model = chat(system="Answer in {language}.")
    keys = {
        key_of(model.request(Instruction("a", code, text), languages.get(code)))
        for code, texts in sentences.items()
        for text in ("1 + 1 = ?", *texts)
    }
    assert len(keys) == 6 * len(sentences)


# -- what comes back ----------------------------------------------------------------------


def test_an_answer_carries_its_tokens_cost_and_id() -> None:
    expected = Answer("Chào", "stop", 3, 5, cost_usd=13.0, provider_id="chatcmpl-1")
    assert reading_of(completion()) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (completion(finish_reason="length"), "length"),
        (completion(finish_reason=None), "stop"),
        (completion(finish_reason="content_filter"), "content_filter"),
        (completion(finish_reason={"odd": 1}), "{'odd': 1}"),
        ({**completion(), "id": None}, "stop"),
        ({**completion(), "id": 17}, "stop"),
    ],
)
def test_an_answer_keeps_why_it_ended_as_text(told: Any, expected: str) -> None:
    answer = reading_of(told)
    assert isinstance(answer, Answer)
    assert (answer.output, answer.finish) == ("Chào", expected)
    assert isinstance(answer.provider_id, str)


@pytest.mark.parametrize("content", ["", None, " ", "\n\n", "\u3000"])
@pytest.mark.parametrize("finish", ["length", "stop", "tool_calls"])
def test_nothing_is_empty_and_billed(content: str | None, finish: str) -> None:
    outcome = reading_of(completion(content, finish_reason=finish))
    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.detail) == ("empty", f"no text, finish_reason {finish}")
    assert outcome.billed is not None
    assert outcome.billed.cost_usd == 13.0


def test_what_is_declined_is_not_asked_again_but_was_billed() -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "I can't\x1b[31m help\nwith that."}
    for told, why in (
        (completion(message=refusal), "I can't[31m help with that."),
        (completion(None, finish_reason="content_filter"), "content_filter"),
    ):
        outcome = reading_of(told)
        assert isinstance(outcome, NoAnswer)
        assert outcome.why == f"the provider declined: {why}"
        assert outcome.billed is not None
        assert outcome.billed.cost_usd == 13.0


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"not JSON",
        b"<html>Welcome to the hotel's network</html>",
        orjson.dumps(completion())[:-30],
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b'"text"',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{}]},
        {"choices": [None]},
        completion(message=None),
        completion(message="text"),
        completion([{"type": "text", "text": "parts"}]),
        completion(17),
        {**completion(), "usage": {"prompt_tokens": "many"}},
        {**completion(), "usage": {"prompt_tokens": 1e300}},
        {**completion(), "usage": {"prompt_tokens": -1}},
        {**completion(), "usage": {"completion_tokens": 2**62}},
        {**completion(), "usage": [3, 5]},
    ],
)
def test_what_is_no_completion_is_asked_again_and_was_billed(told: Any) -> None:
    outcome = reading_of(told)
    assert isinstance(outcome, Again)
    assert outcome.why == "malformed"
    assert outcome.detail.isprintable()
    assert len(outcome.detail) < 150
    assert outcome.billed == guessed(REQUEST, PRICE)
    assert outcome.billed.cost_usd > 0


def test_a_server_that_counts_no_tokens_is_reckoned_by_its_text() -> None:
    outcome = reading_of({**completion("ខ្មែរ" * 10), "usage": None})
    assert isinstance(outcome, Answer)
    assert outcome.tokens_out == len("ខ្មែរ".encode()) * 10 / 3
    assert outcome.tokens_in > 30
    assert outcome.cost_usd == outcome.tokens_in + 2 * outcome.tokens_out


def test_a_guess_is_half_the_room_until_answers_are_known() -> None:
    assert guessed(REQUEST, PRICE).tokens_out == 50
    assert guessed(REQUEST, PRICE, 12.7).tokens_out == 12
    assert guessed({**REQUEST, "max_completion_tokens": 20}, PRICE).tokens_out == 10
    assert 30 <= guessed(REQUEST, PRICE).tokens_in <= 60


# -- over the wire ------------------------------------------------------------------------


class Seen:
    def __init__(self) -> None:
        self.text = ""

    def see(self, event: Event) -> None:
        self.text += repr(event)


def asked_for(
    folder: Path, model: OpenAIChat, rows: int, terms: Terms | None = None
) -> tuple[Filled, Ledger]:
    requests = [
        model.request(Instruction(str(n), "vi", f"câu {n}"), VIETNAMESE) for n in range(rows)
    ]
    with Ledger(folder / "vi.sqlite") as ledger:
        terms = terms or Terms(concurrency=4)
        return fill(ledger, requests, model, "response", terms=terms, task="t"), ledger


def test_a_run_over_http_sends_the_body_with_the_key_and_keeps_the_answers(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    service: Any = serve(
        lambda asked: (200, completion(asked.json["messages"][0]["content"].upper()))
    )
    model = chat(endpoints=(f"{service.url}/v1/",), keys=("MY_KEY",))
    done, _ = asked_for(tmp_path, model, 12)
    assert (done.answered, done.cost_usd) == (12, 12 * 13.0)
    asked = service.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["content-type"] == "application/json"
    with Ledger(tmp_path / "vi.sqlite", read_only=True) as ledger:
        assert {entry.output for entry in ledger.entries()} == {f"CÂU {n}" for n in range(12)}
        assert {entry.provider for entry in ledger.entries()} == {"openai:gpt-4o-mini"}
    # the very body is the key
    assert {key_of(one.json) for one in service.asked} == {
        key_of(model.request(Instruction("", "vi", f"câu {n}"), VIETNAMESE)) for n in range(12)
    }


def test_the_keys_are_looked_for_when_the_first_request_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = chat()
    model.request(ROW, VIETNAMESE)
    model.stop()
    asyncio.run(model.close())
    with pytest.raises(ProviderError, match="no key: OPENAI_API_KEY is not set"):
        asked_for(tmp_path, model, 1)


def test_a_server_of_one_s_own_gets_no_key(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    service: Any = serve(lambda asked: (200, completion()))
    asked_for(tmp_path, chat(endpoints=(service.url,)), 1)
    assert "authorization" not in service.asked[0].headers


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}}, "refuses the key"),
        (402, SECRET.encode(), "no credit"),
        (429, {"error": {"code": "insufficient_quota", "message": SECRET}}, "no credit"),
        (404, {"error": {"message": f"no model for {SECRET}"}}, "no such model"),
    ],
)
def test_what_ends_a_run_keeps_what_came_and_shows_no_key(
    tmp_path: Path,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: Any,
    problem: str,
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    service: Any = serve(
        lambda asked: (200, completion()) if len(service.asked) <= 3 else (status, body)
    )
    seen = Seen()
    model = chat(endpoints=(service.url,), keys=("MY_KEY",))
    with reading(seen), pytest.raises(ProviderError, match=problem) as error:
        asked_for(tmp_path, model, 50, Terms(concurrency=1))
    assert len(service.asked) == 4
    with Ledger(tmp_path / "vi.sqlite", read_only=True) as ledger:
        assert len(ledger) == 3
    shown = f"{error.value} {error.value!r} {error.value.hint} {seen.text} {vars(model)!r}"
    assert "MY_KEY" in str(error.value)
    assert SECRET not in shown
    assert SECRET.encode() not in (tmp_path / "vi.sqlite").read_bytes()


def test_what_was_sent_and_never_answered_is_charged_as_a_guess(
    tmp_path: Path, serve: Serve
) -> None:
    service: Any = serve(lambda asked: (0, b"") if len(service.asked) == 3 else (200, completion()))
    done, _ = asked_for(tmp_path, chat(endpoints=(service.url,)), 3, Terms(concurrency=1))
    assert (done.answered, done.charged, dict(done.again)) == (3, 1, {"network": 1})
    with Ledger(tmp_path / "vi.sqlite", read_only=True) as ledger:
        (charge,) = ledger.charges()
    assert (charge.why, charge.cost_usd > 10, charge.output) == ("network", True, "")


def test_what_was_not_sent_is_not_charged(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="cannot be reached"):
        asked_for(tmp_path, chat(endpoints=("http://127.0.0.1:9",)), 30, Terms(concurrency=8))
    with Ledger(tmp_path / "vi.sqlite", read_only=True) as ledger:
        assert list(ledger.charges()) == []


def test_tokens_that_were_reserved_and_not_used_are_given_back(
    tmp_path: Path, serve: Serve
) -> None:
    # 1,024 tokens are allowed each and 8 used: reserved in full, four would take six seconds
    service: Any = serve(lambda asked: (200, completion()))
    model = chat(endpoints=(service.url,), tpm=30_000)
    begun = time.monotonic()
    done, _ = asked_for(tmp_path, model, 30)
    assert done.answered == 30
    assert time.monotonic() - begun < 4
    assert model.usual_tokens == 5
