"""Claude asked directly: the body, the headers, and what each reply means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, ProviderError
from bactrian.events import Event, reading
from bactrian.languages import get
from bactrian.providers import Again, Answer, NoAnswer, Price, Request, Told
from bactrian.providers.anthropic import AnthropicChat, read
from bactrian.providers.http import Lane, Reply
from bactrian.providers.secrets import Key
from bactrian.recipe import Respond
from bactrian.schema import Instruction

PRICE = Price(1.0, 5.0)
ROW = Instruction("a-1", "my", "ရှင်းပြပါ", "အပူချိန်")
LANE = Lane("http://127.0.0.1", Key("ANTHROPIC_API_KEY", "k"), {})


def chat(tmp_path: Path, **section: Any) -> AnthropicChat:
    told = {"model": "claude-haiku-4-5", **section}
    return AnthropicChat(Told(Respond(using="anthropic", **told), tmp_path, PRICE))


def message(text: str = "အဖြေ", **told: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 100, "output_tokens": 40},
        **told,
    }


def heard(told: Any, request: Request | None = None) -> Any:
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    asked = request or {"max_tokens": 100, "messages": [{"role": "user", "content": "a" * 300}]}
    return read(Reply(200, {}, data, LANE), PRICE, asked)


# -- what is sent -------------------------------------------------------------------------


def test_the_body_is_what_the_api_takes(tmp_path: Path) -> None:
    model = chat(tmp_path, system="Answer in {language}.", systems={"vi": "Bằng tiếng Việt."})
    assert model.request(ROW, get("my")) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 1024,
        "temperature": 0.7,
        "system": "Answer in Burmese.",
        "messages": [{"role": "user", "content": "ရှင်းပြပါ\n\nအပူချိန်"}],
    }
    assert model.request(ROW, get("vi"))["system"] == "Bằng tiếng Việt."
    assert "system" not in chat(tmp_path).request(ROW, get("my"))


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-3-haiku-20240307", True),
        ("claude-3-5-sonnet-latest", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5@20251001", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8-20260901", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("claude-fable-5-1", False),
    ],
)
def test_a_temperature_is_sent_to_models_that_take_one(
    tmp_path: Path, model: str, takes: bool
) -> None:
    events: list[Event] = []

    class Reader:
        def see(self, event: Event) -> None:
            events.append(event)

    with reading(Reader()):
        request = chat(tmp_path, model=model).request(ROW, get("my"))
    assert ("temperature" in request) == takes
    assert [event.kind for event in events] == ([] if takes else ["decision"])


def test_options_are_sent_as_they_are_and_come_first(tmp_path: Path) -> None:
    options = {"thinking": {"type": "disabled"}, "max_tokens": 50, "temperature": 1.5}
    request = chat(tmp_path, model="claude-sonnet-5", options=options).request(ROW, get("my"))
    assert {**request, **options} == request


def test_a_temperature_beyond_one_is_refused_early(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"temperature = 1\.2 is more than Anthropic takes"):
        chat(tmp_path, temperature=1.2)


@pytest.mark.parametrize(
    ("model", "version"), [("claude-haiku-4-5", "2023-06-01"), ("claude-sonnet-5", "2026-10-21")]
)
def test_the_headers_name_key_and_version(
    tmp_path: Path, serve: Any, send: Any, monkeypatch: pytest.MonkeyPatch, model: str, version: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    server = serve(lambda asked: (200, message()))
    asking = chat(tmp_path, model=model, endpoints=(server.url,), keys=("ANTHROPIC_API_KEY",))
    (outcome,) = send(asking, [asking.request(ROW, get("my"))])
    assert outcome == Answer("အဖြေ", "stop", 100, 40, 0, 300e-6, "msg_1")
    (asked,) = server.asked
    assert asked.path == "/messages"
    assert asked.headers["x-api-key"] == "sk-ant-1"
    assert asked.headers["anthropic-version"] == version
    assert asked.json == asking.request(ROW, get("my"))


def test_to_plan_takes_no_key_and_to_send_does(
    tmp_path: Path, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    model = chat(tmp_path)
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY is not set"):
        send(model, [model.request(ROW, get("my"))])


# -- what comes back ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_why_it_stopped_is_said_in_one_language(stop: str, finish: str) -> None:
    assert heard(message(stop_reason=stop)).finish == finish


def test_the_text_is_that_of_the_text_blocks() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "က"},
        {"type": "text", "text": "ခ"},
    ]
    assert heard(message(content=blocks)).output == "ကခ"


def test_cached_tokens_are_counted_at_their_price() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 40,
        "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": 2000,
    }
    answer = heard(message(usage=usage))
    assert (answer.tokens_in, answer.tokens_out) == (3100, 40)
    assert answer.cost_usd == pytest.approx((100 + 1250 + 200 + 40 * 5) / 1e6)


def test_a_refusal_is_no_answer_and_was_billed() -> None:
    told = message(
        "Hello..",
        stop_reason="refusal",
        stop_details={"type": "refusal", "explanation": "this could do harm"},
    )
    outcome = heard(told)
    assert isinstance(outcome, NoAnswer)
    assert outcome.why == "the provider declined: this could do harm"
    assert outcome.billed is not None and outcome.billed.cost_usd == pytest.approx(300e-6)


def test_no_text_is_asked_again_and_was_billed() -> None:
    outcome = heard(message(content=[], stop_reason="max_tokens"))
    assert isinstance(outcome, Again) and outcome.why == "empty"
    assert outcome.detail == "no text, stop_reason max_tokens"
    assert outcome.billed is not None and outcome.billed.tokens_out == 40


@pytest.mark.parametrize(
    "told",
    [
        b'{"id": "msg_1", "content": [{"ty',
        b"[]",
        b"null",
        {"content": "text", "usage": {"input_tokens": 1, "output_tokens": 1}},
        {"content": [{"type": "text"}], "usage": {"input_tokens": 1, "output_tokens": 1}},
        {"content": [{"type": "text", "text": "a"}]},
        {"content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 1}},
        message(usage={"input_tokens": -5, "output_tokens": 1}),
        message(usage={"input_tokens": 1e300, "output_tokens": 1}),
    ],
)
def test_what_cannot_be_read_was_billed_all_the_same(told: Any) -> None:
    outcome = heard(told)
    assert isinstance(outcome, Again) and outcome.why == "malformed"
    assert outcome.billed is not None and outcome.billed.tokens_out == 50


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (529, "overloaded_error", "server"),
        (500, "api_error", "server"),
        (504, "timeout_error", "server"),
        (429, "rate_limit_error", "limit"),
    ],
)
def test_what_passes_is_asked_again(
    tmp_path: Path, serve: Any, send: Any, status: int, kind: str, why: str
) -> None:
    told = {"type": "error", "error": {"type": kind, "message": "busy"}, "request_id": "r"}
    server = serve(lambda asked: (status, told, {"retry-after": "7"}))
    model = chat(tmp_path, endpoints=(server.url,))
    (outcome,) = send(model, [model.request(ROW, get("my"))])
    assert outcome == Again(why, f"HTTP {status}: busy", 7.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "said", "problem"),
    [
        (400, "Your credit balance is too low to access the API", "no credit left"),
        (402, "pay", "no credit left"),
        (401, "invalid x-api-key", "refuses the key"),
        (404, "model: claude-nope", "knows no such model"),
    ],
)
def test_what_does_not_pass_ends_the_run(
    tmp_path: Path, serve: Any, send: Any, status: int, said: str, problem: str
) -> None:
    told = {"type": "error", "error": {"type": "x", "message": said}}
    server = serve(lambda asked: (status, told))
    model = chat(tmp_path, endpoints=(server.url,))
    with pytest.raises(ProviderError, match=problem):
        send(model, [model.request(ROW, get("my"))])


def test_a_request_that_is_wrong_fails_alone(tmp_path: Path, serve: Any, send: Any) -> None:
    def script(asked: Any) -> Any:
        if "bad" in asked.body.decode():
            return 400, {"error": {"type": "invalid_request_error", "message": "too long"}}
        return 200, message()

    server = serve(script)
    model = chat(tmp_path, endpoints=(server.url,))
    bad = Instruction("a-2", "my", "bad")
    good, wrong = send(model, [model.request(ROW, get("my")), model.request(bad, get("my"))])
    assert isinstance(good, Answer)
    assert isinstance(wrong, NoAnswer) and wrong.why == "HTTP 400: too long"


def test_a_connection_that_breaks_may_have_been_billed(
    tmp_path: Path, serve: Callable[..., Any], send: Any
) -> None:
    server = serve(lambda asked: (0, b""))
    model = chat(tmp_path, endpoints=(server.url,))
    (outcome,) = send(model, [model.request(ROW, get("my"))])
    assert isinstance(outcome, Again) and outcome.why == "network"
    assert outcome.billed is not None and outcome.billed.cost_usd > 0


def test_the_first_answer_says_how_long_answers_usually_are() -> None:
    from bactrian.providers.chat import usual_of

    assert usual_of(0.0, 400) == 400  # a start at a part of it would reserve too little
    assert usual_of(400.0, 500) == pytest.approx(409)
    assert usual_of(400.0, 300) == pytest.approx(399)
