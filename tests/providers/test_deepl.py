"""DeepL through its official client: codes, context, batches, money, and what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from bactrian.errors import BactrianError, ConfigError, LanguageError, MissingExtra, ProviderError
from bactrian.languages import all_languages, get
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told
from bactrian.providers import deepl as ours
from bactrian.providers.deepl import DeepL, heard, understood
from bactrian.providers.fill import fill
from bactrian.providers.http import Lane
from bactrian.providers.secrets import Key
from bactrian.providers.terms import Terms

theirs = pytest.importorskip("deepl", reason="pip install 'bactrian[deepl]'")

EN, DE, AR, ZH, PT = (get(code) for code in ("en", "de", "ar", "zh", "pt"))
LANE = Lane("", Key("DEEPL_AUTH_KEY", "s3cret"), {})

Serve = Callable[..., Any]
Make = Callable[..., Told]
Send = Callable[[Any, Sequence[Request]], list[Outcome]]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPL_AUTH_KEY", "s3cret")


def shouting(asked: Any) -> tuple[int, Any]:
    """Answer as /v2/translate does, with what it bills."""
    found = [
        {
            "detected_source_language": "EN",
            "text": text.upper(),
            "billed_characters": len(text),
        }
        for text in asked.json["text"]
    ]
    return 200, {"translations": found}


def texts_of(service: Any) -> list[list[str]]:
    return [asked.json["text"] for asked in service.asked]


def test_an_input_goes_with_its_instruction_as_context(
    serve: Serve, told: Make, send: Send
) -> None:
    service = serve(shouting)
    provider = DeepL(told(endpoints=[service.url]))
    texts = ["Name the animals", "seal, bank, 🐫 <b>&amp;</b>"]
    request = provider.request(texts, EN, ZH)
    assert request["context"] == "Name the animals"
    (answer,) = send(provider, [request])
    assert isinstance(answer, Answer)
    assert orjson.loads(answer.output) == ["NAME THE ANIMALS", "SEAL, BANK, 🐫 <B>&AMP;</B>"]
    assert answer.characters == sum(map(len, texts))
    assert answer.cost_usd == pytest.approx(answer.characters * 20 / 1e6)
    (asked,) = service.asked
    assert asked.path == "/v2/translate"
    assert asked.headers["authorization"] == "DeepL-Auth-Key s3cret"
    assert asked.json["context"] == "Name the animals"
    assert (asked.json["source_lang"], asked.json["target_lang"]) == ("EN", "ZH-HANS")
    assert asked.json["preserve_formatting"] is True


def test_what_has_no_context_shares_calls(serve: Serve, told: Make, send: Send) -> None:
    service = serve(shouting)
    provider = DeepL(told(endpoints=[service.url]))
    rows = [("task one", ""), ("task two", "its input"), ("", ""), ("שלום 𝒳", "  ")]
    found = send(provider, [provider.request(row, EN, DE) for row in rows])
    assert sorted(texts_of(service)) == [["task one", "שלום 𝒳"], ["task two", "its input"]]
    outputs = [orjson.loads(one.output) for one in found if isinstance(one, Answer)]
    assert outputs == [["TASK ONE", ""], ["TASK TWO", "ITS INPUT"], ["", ""], ["שלום 𝒳", "  "]]
    assert [one.characters for one in found if isinstance(one, Answer)] == [8, 17, 0, 6]


def test_no_call_takes_more_than_it_may(serve: Serve, told: Make, send: Send) -> None:
    service = serve(shouting)
    provider = DeepL(told(endpoints=[service.url], options={"context": False}))
    pieces = [f"piece {number}" for number in range(120)]
    heavy = ["ж" * 4_000] * 9  # six bytes a letter in the client's JSON
    found = send(provider, [provider.request(row, EN, DE) for row in (pieces, heavy)])
    assert all(len(texts) <= 50 for texts in texts_of(service))
    assert all(len(asked.body) <= 128 * 1024 for asked in service.asked)
    assert [orjson.loads(one.output) for one in found if isinstance(one, Answer)] == [
        [piece.upper() for piece in pieces],
        ["Ж" * 4_000] * 9,
    ]


def test_the_codes_are_deepl_s_and_what_it_lacks_is_refused_before_it_costs(told: Make) -> None:
    provider = DeepL(told(options={"targets": {"pt": "PT-PT"}}))
    assert provider.request(["a"], EN, PT)["target"] == "PT-PT"
    assert provider.request(["a"], PT, EN)["target"] == "EN-US"
    assert provider.request(["a"], PT, EN)["source"] == "PT"
    lacking = []
    for language in all_languages():
        try:
            provider.request(["a"], EN, language)
        except LanguageError as error:
            lacking.append(language.code)
            if language.code != "en":
                assert "google" in error.hint
                assert "deepl" not in error.hint
    assert lacking == ["en", "km", "si"]
    through = DeepL(told(options={"unlisted": True}))
    assert through.request(["a"], EN, get("km"))["target"] == "KM"


def test_what_changes_the_translation_changes_the_request(told: Make) -> None:
    plain = DeepL(told()).request(["a"], EN, DE)
    assert plain == {
        "engine": "deepl:default",
        "source": "EN",
        "target": "DE",
        "preserve_formatting": True,
        "texts": ["a"],
    }
    said = {"formality": "prefer_less", "glossary": "8f4d"}
    other = DeepL(told(model="quality_optimized", options=said)).request(["a"], EN, DE)
    assert other == {**plain, **said, "engine": "deepl:quality_optimized"}


def test_options_reach_the_service(serve: Serve, told: Make, send: Send) -> None:
    service = serve(shouting)
    said = {"formality": "prefer_less", "glossary": "8f4d"}
    provider = DeepL(told(endpoints=[service.url], model="latency_optimized", options=said))
    send(provider, [provider.request(["a"], EN, DE)])
    body = service.asked[0].json
    assert body["formality"] == "prefer_less"
    assert body["glossary_id"] == "8f4d"
    assert body["model_type"] == "latency_optimized"


@pytest.mark.parametrize(
    ("section", "problem", "hint"),
    [
        ({"options": {"formality": "formal"}}, 'options.formality = "formal"', ""),
        ({"options": {"formalty": "more"}}, "unknown key options.formalty", "formality"),
        ({"model": "quality"}, 'model = "quality"', "quality_optimized"),
        ({"options": {"context": "yes"}}, "is not true or false", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(section: Any, problem: str, hint: str, told: Make) -> None:
    with pytest.raises(ConfigError) as raised:
        DeepL(told(**section))
    assert problem in raised.value.problem
    assert hint in raised.value.hint


def test_the_client_or_the_key_that_is_missing_is_named(
    told: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "installed", lambda module: False)
    with pytest.raises(MissingExtra, match=r"bactrian\[deepl\]"):
        DeepL(told())
    monkeypatch.undo()
    monkeypatch.delenv("DEEPL_AUTH_KEY", raising=False)
    with pytest.raises(ProviderError, match="DEEPL_AUTH_KEY is not set"):
        DeepL(told())


ERRORS: list[tuple[int, Any, Any]] = [
    (403, {"message": "Wrong auth key"}, ProviderError),
    (456, {"message": "Quota Exceeded"}, ProviderError),
    (404, {"message": "Glossary not found"}, ProviderError),
    (400, {"message": "Value for 'target_lang' not supported."}, LanguageError),
    (400, {"message": "Value for 'formality' not supported"}, NoAnswer),
    (413, {"message": "Request Entity Too Large"}, NoAnswer),
    (429, {"message": "Too many requests"}, "limit"),
    (500, {"message": "Internal server error"}, "server"),
    (503, {"message": "Resource currently unavailable"}, "server"),
    (529, {"message": "Too many requests"}, "server"),
]


@pytest.mark.parametrize(("status", "body", "meaning"), ERRORS)
def test_what_an_error_means(
    status: int, body: Any, meaning: Any, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(lambda asked: (status, body))
    provider = DeepL(told(endpoints=[service.url]))
    request = provider.request(["abc"], EN, DE)
    if meaning in (ProviderError, LanguageError):
        with pytest.raises(meaning) as raised:
            send(provider, [request])
        assert "s3cret" not in str(raised.value)
    else:
        (outcome,) = send(provider, [request])
        assert outcome.why == meaning if isinstance(outcome, Again) else meaning is NoAnswer
    assert len(service.asked) == 1, "the client's own retries are off"


@pytest.mark.parametrize("data", [b"{cut", b'{"translations": [{"text": "A"}]}', b"[]"])
def test_what_cannot_be_read_was_billed(data: bytes, serve: Serve, told: Make, send: Send) -> None:
    service = serve(lambda asked: (200, data))
    provider = DeepL(told(endpoints=[service.url]))
    (outcome,) = send(provider, [provider.request(["abcd"], EN, DE)])
    assert isinstance(outcome, Again)
    assert outcome.why == "malformed"
    assert outcome.billed is not None
    assert outcome.billed.cost_usd == pytest.approx(8e-5)


def test_a_lost_connection_is_the_network(serve: Serve, told: Make, send: Send) -> None:
    service = serve(lambda asked: (0, b""))
    provider = DeepL(told(endpoints=[service.url]))
    (outcome,) = send(provider, [provider.request(["abcd"], EN, DE)])
    assert isinstance(outcome, Again)
    assert outcome.why == "network"


def test_no_exception_of_the_official_client_is_unmapped() -> None:
    known = [
        one
        for one in vars(theirs.exceptions).values()
        if isinstance(one, type) and issubclass(one, theirs.DeepLException)
    ]
    assert len(known) >= 8
    for one in known:
        handle = ("said", None) if one.__name__ == "DocumentTranslationException" else ("said",)
        try:
            outcome = understood(heard(one(*handle), LANE), "deepl:default")
        except BactrianError:
            continue
        assert isinstance(outcome, Again | NoAnswer), one
    with pytest.raises(ZeroDivisionError):
        heard(ZeroDivisionError(), LANE)


def test_a_run_with_limits_loses_nothing(serve: Serve, told: Make, tmp_path: Any) -> None:
    turns = iter(range(10_000))

    def script(asked: Any) -> tuple[int, Any]:
        return (429, {"message": "Too many requests"}) if next(turns) % 5 == 1 else shouting(asked)

    service = serve(script)
    provider = DeepL(told(endpoints=[service.url], concurrency=8))
    rows = [(f"Task {row}", f"input {row}" if row % 3 == 0 else "") for row in range(150)]
    requests = [provider.request(row, EN, AR) for row in rows]
    with Ledger(tmp_path / "ar.sqlite") as ledger:
        terms = Terms(concurrency=8)
        done = fill(ledger, requests, provider, "translation", terms=terms, task="ar")
        found = {tuple(json.loads(entry.output)) for entry in ledger.entries()}
    assert (done.answered, done.failed) == (150, 0)
    assert done.again["limit"] > 0
    assert found == {tuple(text.upper() for text in row) for row in rows}
    assert done.cost_usd == pytest.approx(sum(len(a) + len(b) for a, b in rows) * 20 / 1e6)
