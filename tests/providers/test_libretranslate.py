"""LibreTranslate: the server's own list and codes, batches, the key, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from bactrian.errors import ConfigError, LanguageError, ProviderError
from bactrian.languages import get
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told
from bactrian.providers.fill import fill
from bactrian.providers.libretranslate import LibreTranslate
from bactrian.providers.terms import Terms

EN, ES, AR, ZH, KM, SL = (get(code) for code in ("en", "es", "ar", "zh", "km", "sl"))
LANGUAGES = [
    {"code": "en", "name": "English", "targets": ["en", "es", "ar", "zh-Hans"]},
    {"code": "es", "name": "Spanish", "targets": ["en", "es"]},
]

Serve = Callable[..., Any]
Make = Callable[..., Told]
Send = Callable[[Any, Sequence[Request]], list[Outcome]]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIBRETRANSLATE_API_KEY", raising=False)


def server(
    script: Callable[[Any], tuple[int, Any]], languages: Any = LANGUAGES
) -> Callable[[Any], tuple[int, Any]]:
    return lambda asked: (200, languages) if asked.path == "/languages" else script(asked)


def shouting(asked: Any) -> tuple[int, Any]:
    return 200, {"translatedText": [text.upper() for text in asked.json["q"]]}


def translations(service: Any) -> list[Any]:
    return [asked for asked in service.asked if asked.path == "/translate"]


@pytest.mark.parametrize(("code", "known"), [("zh-Hans", LANGUAGES), ("zh", None)])
def test_texts_go_out_in_the_server_s_codes(
    code: str, known: Any, serve: Serve, told: Make, send: Send
) -> None:
    old = [{"code": "en", "name": "English", "targets": ["zh"]}]
    service = serve(server(shouting, known or old))
    provider = LibreTranslate(told(endpoints=[service.url]))
    texts = ["a < b & c", "", "שלום 🐫", " \n"]
    request = provider.request(texts, EN, ZH)
    assert (request["engine"], request["target"]) == ("libretranslate:argos", "zh")
    (answer,) = send(provider, [request])
    assert isinstance(answer, Answer)
    assert orjson.loads(answer.output) == ["A < B & C", "", "שלום 🐫", " \n"]
    assert answer.characters == 15
    (asked,) = translations(service)
    wanted = {"q": ["a < b & c", "שלום 🐫"], "source": "en", "target": code, "format": "text"}
    assert asked.json == wanted


def test_the_server_is_asked_once_what_it_has(serve: Serve, told: Make, tmp_path: Any) -> None:
    service = serve(server(shouting))
    provider = LibreTranslate(told(endpoints=[service.url], concurrency=8))
    rows = [[f"text {number}", "more"] for number in range(200)]
    requests = [provider.request(row, EN, ES) for row in rows]
    with Ledger(tmp_path / "es.sqlite") as ledger:
        terms = Terms(concurrency=8)
        done = fill(ledger, requests, provider, "translation", terms=terms, task="es")
    assert (done.answered, done.failed, done.need.missing) == (200, 0, 200)
    paths = [asked.path for asked in service.asked]
    assert paths.count("/languages") == 1
    assert len(paths) < 20
    assert all(len(asked.json["q"]) <= 32 for asked in translations(service))


def test_a_pair_that_nobody_has_models_for_is_refused_at_once(told: Make) -> None:
    provider = LibreTranslate(told())
    with pytest.raises(LanguageError, match="English into Khmer") as raised:
        provider.request(["a"], EN, KM)
    assert "google" in raised.value.hint
    assert LibreTranslate(told(options={"unlisted": True})).request(["a"], EN, KM)


def test_a_pair_that_this_server_lacks_is_refused_before_a_text_is_sent(
    serve: Serve, told: Make, send: Send
) -> None:
    service = serve(server(shouting))
    provider = LibreTranslate(told(endpoints=[service.url]))
    with pytest.raises(LanguageError, match="the server has no model for it") as raised:
        send(provider, [provider.request(["a"], EN, SL)])
    assert "deepl" in raised.value.hint
    assert "libretranslate" not in raised.value.hint
    assert not translations(service)


def test_the_key_is_part_of_the_body_and_of_nothing_else(
    serve: Serve, told: Make, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    service = serve(server(shouting))
    provider = LibreTranslate(told(endpoints=[service.url], keys=["MY_KEY"]))
    request = provider.request(["a"], EN, ES)
    assert "s3cret" not in str(request)
    send(provider, [request])
    (asked,) = translations(service)
    assert asked.json["api_key"] == "s3cret"
    assert "s3cret" not in str(asked.headers)
    monkeypatch.setenv("OTHER", "x")
    with pytest.raises(ConfigError, match="takes one key"):
        LibreTranslate(told(keys=["MY_KEY", "OTHER"]))


# the texts are those of libretranslate/app.py
ERRORS: list[tuple[int, str, Any]] = [
    (429, "Slowdown: 80 per 1 minute", "limit"),
    (400, "Visit https://portal.libretranslate.com to get an API key", ProviderError),
    (400, "Please contact the server operator to get an API key", ProviderError),
    (403, "Invalid API key", ProviderError),
    (403, "Too many request limits violations", ProviderError),
    (404, "Not Found", ProviderError),
    (400, "Invalid request: request (40) exceeds text limit (32)", NoAnswer),
    (500, "Cannot translate text: index out of range", NoAnswer),
    (500, "Internal Server Error", "server"),
    (502, "Bad Gateway", "server"),
]


@pytest.mark.parametrize(("status", "said", "meaning"), ERRORS)
def test_what_an_error_means(
    status: int, said: str, meaning: Any, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(server(lambda asked: (status, {"error": said})))
    provider = LibreTranslate(told(endpoints=[service.url]))
    request = provider.request(["abc"], EN, ES)
    if meaning is ProviderError:
        with pytest.raises(ProviderError, match=r"libretranslate:argos"):
            send(provider, [request])
        return
    (outcome,) = send(provider, [request])
    assert outcome.why == meaning if isinstance(outcome, Again) else meaning is NoAnswer


def test_a_text_that_breaks_the_model_does_not_spoil_its_batch(
    serve: Serve, told: Make, send: Send
) -> None:
    def script(asked: Any) -> tuple[int, Any]:
        if "bad" in asked.json["q"]:
            return 500, {"error": "Cannot translate text: bad"}
        return shouting(asked)

    provider = LibreTranslate(told(endpoints=[serve(server(script)).url]))
    found = send(provider, [provider.request([text], EN, ES) for text in ("a", "bad", "c")])
    assert [type(one) for one in found] == [Answer, NoAnswer, Answer]


@pytest.mark.parametrize("told_", [b"{", {"translatedText": "one"}, {"translatedText": []}])
def test_what_cannot_be_read_is_asked_again(
    told_: Any, serve: Serve, told: Make, send: Send
) -> None:
    provider = LibreTranslate(told(endpoints=[serve(server(lambda asked: (200, told_))).url]))
    (outcome,) = send(provider, [provider.request(["a", "b"], EN, ES)])
    assert isinstance(outcome, Again)
    assert outcome.why == "malformed"


def test_what_is_no_libretranslate_is_said_so(serve: Serve, told: Make, send: Send) -> None:
    provider = LibreTranslate(told(endpoints=[serve(lambda asked: (200, b"<html>")).url]))
    with pytest.raises(ProviderError, match="is no LibreTranslate"):
        send(provider, [provider.request(["a"], EN, ES)])


def test_a_server_that_is_not_up_yet_is_asked_again(serve: Serve, told: Make, send: Send) -> None:
    states = [(503, {"error": "starting"}), (200, LANGUAGES)]
    service = serve(lambda asked: states.pop(0) if asked.path == "/languages" else shouting(asked))
    provider = LibreTranslate(told(endpoints=[service.url]))
    request = provider.request(["a"], EN, ES)
    (first,) = send(provider, [request])
    (second,) = send(provider, [request])
    assert isinstance(first, Again)
    assert first.why == "server"
    assert isinstance(second, Answer)
