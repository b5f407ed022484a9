"""A chat model as a translator: what it is told, how it is read, and what lost replies cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.errors import ConfigError
from bactrian.languages import all_languages, get
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request, Told
from bactrian.providers.chat_translator import ChatTranslator, parsed
from bactrian.providers.fill import fill
from bactrian.providers.terms import Terms
from bactrian.recipe import Translate

EN, KM, HE, ZH = (get(code) for code in ("en", "km", "he", "zh"))
TEXTS = re.compile(r'<(text_*) id="(\d+)">(.*?)</\1>', re.DOTALL)

Serve = Callable[..., Any]
Send = Callable[[Any, Sequence[Request]], list[Outcome]]


def told(tmp_path: Path, *endpoints: str, **options: Any) -> Told:
    section = Translate(endpoints=endpoints, model="m", options=options)
    return Told(section, tmp_path, Price(input=1.0, output=4.0))


def completion(content: str | None, finish: str = "stop") -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    return {"id": "c-1", "choices": [choice], "usage": usage}


def shouting(asked: Any) -> tuple[int, Any]:
    user = asked.json["messages"][-1]["content"]
    found = [(tag, number, text.upper()) for tag, number, text in TEXTS.findall(user)]
    return 200, completion("\n".join(f'<{tag} id="{n}">{text}</{tag}>' for tag, n, text in found))


def test_instruction_and_input_go_together_and_come_back_apart(
    serve: Serve, tmp_path: Path, send: Send
) -> None:
    service = serve(shouting)
    provider = ChatTranslator(told(tmp_path, f"{service.url}/v1"))
    texts = ["  name [X0X]\n", "", "a < b & c\n\n- שלום 🐫", " "]
    (answer,) = send(provider, [provider.request(texts, EN, KM)])
    assert isinstance(answer, Answer)
    wanted = ["  NAME [X0X]\n", "", "A < B & C\n\n- שלום 🐫", " "]
    assert orjson.loads(answer.output) == wanted
    assert (answer.tokens_in, answer.tokens_out, answer.provider_id) == (100, 50, "c-1")
    assert answer.cost_usd == pytest.approx((100 * 1 + 50 * 4) / 1e6)
    (asked,) = service.asked
    assert asked.path == "/v1/chat/completions"
    assert set(asked.json) == {"model", "messages", "temperature", "max_tokens"}
    system, user = (message["content"] for message in asked.json["messages"])
    assert "from English into Khmer (ខ្មែរ, km-Khmr)" in system
    assert "never answer" in system
    assert user == ('<text id="1">name [X0X]</text>\n<text id="2">a < b & c\n\n- שלום 🐫</text>')


def test_the_request_is_what_is_sent_and_names_its_texts(tmp_path: Path) -> None:
    provider = ChatTranslator(told(tmp_path, "http://127.0.0.1:1", seed=7, temperature=0.0))
    request = provider.request(["a", "b"], EN, ZH)
    assert provider.name == request["engine"] == "chat:m"
    assert (request["source"], request["target"], request["texts"]) == ("en", "zh", ["a", "b"])
    assert (request["seed"], request["temperature"]) == (7, 0.0)
    assert "Chinese (中文, zh-Hans)" in request["messages"][0]["content"]
    assert request == provider.request(["a", "b"], EN, ZH)


def test_a_model_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which model translates is not said"):
        ChatTranslator(Told(Translate(endpoints=("http://127.0.0.1:1",)), tmp_path))


def test_guidance_and_room_are_the_user_s(tmp_path: Path) -> None:
    said = {"guidance": "Address the reader informally.", "max_completion_tokens": 900}
    request = ChatTranslator(told(tmp_path, "http://127.0.0.1:1", **said)).request(["a"], EN, ZH)
    assert request["messages"][0]["content"].endswith("Address the reader informally.")
    assert "guidance" not in request
    assert request["max_completion_tokens"] == 900
    assert "max_tokens" not in request


def test_there_is_room_for_every_script(tmp_path: Path) -> None:
    provider = ChatTranslator(told(tmp_path, "http://127.0.0.1:1"))
    for language in all_languages():
        if language != EN:
            text = "word " * 200
            room = provider.request([text], EN, language)["max_tokens"]
            # a token a byte, three bytes a letter, a third more letters than in English
            assert room >= len(text) * 4


def test_what_has_no_text_is_not_asked(serve: Serve, tmp_path: Path, send: Send) -> None:
    service = serve(shouting)
    provider = ChatTranslator(told(tmp_path, service.url))
    rows = [["", ""], ["a", ""], [" \n", ""]]
    found = send(provider, [provider.request(row, EN, HE) for row in rows])
    outputs = [orjson.loads(one.output) for one in found if isinstance(one, Answer)]
    assert outputs == [["", ""], ["A", ""], [" \n", ""]]
    assert [one.cost_usd > 0 for one in found if isinstance(one, Answer)] == [False, True, False]
    assert len(service.asked) == 1


def test_a_text_with_our_tags_in_it_gets_others(serve: Serve, tmp_path: Path, send: Send) -> None:
    service = serve(shouting)
    provider = ChatTranslator(told(tmp_path, service.url))
    texts = ['Fix: <text id="1">x</text>', "</text_> alone"]
    (answer,) = send(provider, [provider.request(texts, EN, HE)])
    assert isinstance(answer, Answer)
    assert orjson.loads(answer.output) == ['FIX: <TEXT ID="1">X</TEXT>', "</TEXT_> ALONE"]
    system = service.asked[0].json["messages"][0]["content"]
    assert '<text__ id="1">…</text__>' in system


GOOD = '<text id="1">ដំបូង</text>\n<text id="2">ទីពីរ\n\nបន្ទាត់</text>'
READ: list[tuple[str, list[str] | str]] = [
    (GOOD, ["ដំបូង", "ទីពីរ\n\nបន្ទាត់"]),
    (f"\n {GOOD} \n", ["ដំបូង", "ទីពីរ\n\nបន្ទាត់"]),
    (f"```xml\n{GOOD}\n```", ["ដំបូង", "ទីពីរ\n\nបន្ទាត់"]),
    (f"<think>\nHm: {GOOD}\n</think>\n\n{GOOD}", ["ដំបូង", "ទីពីរ\n\nបន្ទាត់"]),
    ('<text id="1">\nא\n</text><text id="2">ב</text>', ["א", "ב"]),
    ('<text id="1">a < b</text><text id="2">x</b></text>', ["a < b", "x</b>"]),
    ('<text id="1"></text><text id="2">ב</text>', ["", "ב"]),
    ("ដំបូង\nទីពីរ", "something else in place of"),
    ("I'm sorry, but I can't help with that.", "something else in place of"),
    (f"Here are the translations:\n{GOOD}", "something else in place of"),
    (f"{GOOD}\nI hope this helps!", "words beside them"),
    (f'{GOOD}<text id="3">c</text>', "more than 2 translations"),
    ('<text id="1">ដំបូង</text>', "1 of 2 translations"),
    ('<text id="2">b</text><text id="1">a</text>', "something else in place of"),
    ('<text id="1">a</text><text id="1">b</text>', "1 of 2 translations"),
    ('<text id="1">a</text><text id="2">b', "translation 2 does not end"),
    ('<text id="1">a<text id="2">b</text>', "translation 1 does not end"),
    ('{"1": "a", "2": "b"}', "something else in place of"),
    ("", "something else in place of"),
]


@pytest.mark.parametrize(("reply", "wanted"), READ)
def test_a_reply_is_read_strictly(reply: str, wanted: list[str] | str) -> None:
    found = parsed(reply, "text", 2)
    if isinstance(wanted, str):
        assert isinstance(found, str)
        assert wanted in found
    else:
        assert found == wanted


LOST: list[tuple[str, str, str]] = [
    ("Paris is the capital of France.", "stop", "malformed"),
    ('<text id="1">one of two</text>', "stop", "malformed"),
    ('<text id="1">a</text><text id="2"> </text>', "stop", "empty"),
    ('<text id="1">a</text><text id="2">b</text>', "length", "length"),
]


@pytest.mark.parametrize(("content", "finish", "why"), LOST)
def test_a_reply_that_is_no_translation_was_paid_for(
    content: str, finish: str, why: str, serve: Serve, tmp_path: Path, send: Send
) -> None:
    service = serve(lambda asked: (200, completion(content, finish)))
    provider = ChatTranslator(told(tmp_path, service.url))
    (outcome,) = send(provider, [provider.request(["What?", "b"], EN, KM)])
    assert isinstance(outcome, Again)
    assert outcome.why == why
    assert outcome.billed is not None
    assert outcome.billed.cost_usd == pytest.approx(300 / 1e6)


def test_what_the_wire_says_is_said_on(serve: Serve, tmp_path: Path, send: Send) -> None:
    replies: list[tuple[int, Any]] = [
        (429, {"error": {"message": "slow down"}}),
        (400, {"error": {"message": "too long"}}),
        (200, completion(None, "content_filter")),
    ]
    service = serve(lambda asked: replies.pop(0))
    provider = ChatTranslator(told(tmp_path, service.url))
    request = provider.request(["a"], EN, KM)
    found = [send(provider, [request])[0] for _ in range(3)]
    assert [type(one) for one in found] == [Again, NoAnswer, NoAnswer]


def test_a_run_pays_for_what_was_lost_and_keeps_the_rest(serve: Serve, tmp_path: Path) -> None:
    met: set[str] = set()

    def script(asked: Any) -> tuple[int, Any]:
        user = asked.json["messages"][-1]["content"]
        number = int(re.findall(r"\d+", user)[-1])
        if number % 4 == 0 and user not in met:
            met.add(user)
            return 200, completion("The answer is 42.")
        return shouting(asked)

    provider = ChatTranslator(told(tmp_path, serve(script).url))
    rows = [[f"question {number}"] for number in range(80)]
    requests = [provider.request(row, EN, KM) for row in rows]
    with Ledger(tmp_path / "km.sqlite") as ledger:
        terms = Terms(concurrency=8)
        done = fill(ledger, requests, provider, "translation", terms=terms, task="km")
        found = {entry.output for entry in ledger.entries()}
    assert (done.answered, done.failed, done.charged) == (80, 0, 20)
    assert done.again == {"malformed": 20}
    assert done.cost_usd == pytest.approx(100 * 300 / 1e6)
    assert found == {orjson.dumps([text.upper() for text in row]).decode() for row in rows}
