"""Google over v2 and v3: batches, codes and money; a server that misbehaves, where it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.errors import (
    ConfigError,
    LanguageError,
    MissingExtra,
    ProviderError,
)
from bactrian.languages import all_languages, get
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told, google
from bactrian.providers.fill import fill
from bactrian.providers.google import Google
from bactrian.providers.http import Lane
from bactrian.providers.secrets import Key
from bactrian.providers.terms import Terms

EN, VI, ZH, HE, KM = (get(code) for code in ("en", "vi", "zh", "he", "km"))
MOCK = Path(__file__).parents[2] / ".." / "shared" / "bench" / "mock_openai.py"
LANE = Lane("https://translation.googleapis.com", Key("GOOGLE_API_KEY", "s3cret"), {})

Serve = Callable[..., Any]
Make = Callable[..., Told]
Send = Callable[[Any, Sequence[Request]], list[Outcome]]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


@pytest.fixture(params=["v2", "v3"])
def api(request: pytest.FixtureRequest) -> str:
    if request.param == "v3":
        pytest.importorskip("google.cloud.translate_v3", reason="pip install 'bactrian[google]'")
    return str(request.param)


def texts_of(asked: Any) -> list[str]:
    found: list[str] = asked.json.get("q") or asked.json["contents"]
    return found


def reply(asked: Any, texts: Sequence[str]) -> dict[str, Any]:
    found = [{"translatedText": text} for text in texts]
    return {"data": {"translations": found}} if "q" in asked.json else {"translations": found}


def shouting(asked: Any) -> tuple[int, Any]:
    """Translate as the real service does in text mode: letters change, signs do not."""
    return 200, reply(asked, [text.upper() for text in texts_of(asked)])


def error(status: int, message: str, reason: str = "", state: str = "") -> dict[str, Any]:
    """Return the body of Google's errors."""
    inner = [{"message": message, "domain": "usageLimits", "reason": reason}] if reason else []
    return {"error": {"code": status, "message": message, "errors": inner, "status": state}}


def test_texts_go_out_as_text_and_come_back_in_order(
    api: str, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(shouting)
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    texts = ["say <b>a & b</b> &amp; c", "", "שלום עולם", "ប្រាប់ខ្ញុំ", "  ", "𝒳 and 🐫"]
    (answer,) = send(provider, [provider.request(texts, EN, ZH)])
    assert isinstance(answer, Answer)
    wanted = ["SAY <B>A & B</B> &AMP; C", "", "שלום עולם", "ប្រាប់ខ្ញុំ", "  ", "𝒳 AND 🐫"]
    assert orjson.loads(answer.output) == wanted
    count = sum(len(text) for text in texts if text.strip())
    assert answer.characters == count
    assert answer.cost_usd == pytest.approx(count * 20 / 1e6)
    (asked,) = service.asked
    body = asked.json
    if api == "v2":
        assert asked.path == "/language/translate/v2"
        assert (body["format"], body["source"], body["target"]) == ("text", "en", "zh-CN")
    else:
        assert asked.path.startswith("/v3/projects/p/locations/global:translateText")
        assert (body["mimeType"], body["targetLanguageCode"]) == ("text/plain", "zh-CN")
        assert body["model"] == "projects/p/locations/global/models/general/nmt"
    assert texts_of(asked) == [text for text in texts if text.strip()]


def test_v2_and_v3_share_their_requests(told: Make, api: str) -> None:
    provider = Google(told(endpoints=["http://127.0.0.1:1"], options={"api": api, "project": "x"}))
    assert provider.name == "google:nmt"
    assert provider.request(["a", ""], EN, HE) == {
        "engine": "google:nmt",
        "format": "text",
        "source": "en",
        "target": "he",
        "texts": ["a", ""],
    }


def test_every_language_has_a_code(told: Make) -> None:
    provider = Google(told(endpoints=["http://127.0.0.1:1"], options={"api": "v2"}))
    codes = {provider.request(["a"], EN, to)["target"] for to in all_languages() if to != EN}
    assert len(codes) == 51
    assert {"zh-CN", "fil", "he"} < codes
    back = provider.request(["a"], ZH, EN)
    assert (back["source"], back["target"]) == ("zh-CN", "en")
    with pytest.raises(LanguageError, match="translated into itself"):
        provider.request(["a"], EN, EN)


@pytest.mark.parametrize(("limit", "calls"), [(128, 6), (1024, 1)])
def test_no_call_takes_more_strings_than_it_may(
    limit: int, calls: int, serve: Serve, told: Make, send: Send
) -> None:
    api = "v2" if limit == 128 else "v3"
    if api == "v3":
        pytest.importorskip("google.cloud.translate_v3")
    service = serve(shouting)
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    pieces = [[f"piece {row} {number}" for number in range(150)] for row in range(3)]
    found = send(provider, [provider.request(one, EN, VI) for one in pieces])
    sizes = [len(texts_of(asked)) for asked in service.asked]
    assert (sum(sizes), len(sizes)) == (450, calls)
    assert max(sizes) <= limit
    for outcome, texts in zip(found, pieces, strict=True):
        assert isinstance(outcome, Answer)
        assert orjson.loads(outcome.output) == [text.upper() for text in texts]


def test_a_text_that_no_call_takes_is_not_sent(
    api: str, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(shouting)
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    long, short = provider.request(["𝒳" * 30_001], EN, VI), provider.request(["a"], EN, VI)
    first, second = send(provider, [long, short])
    assert isinstance(first, NoAnswer)
    assert "one call takes" in first.why
    assert isinstance(second, Answer)
    assert len(service.asked) == 1


def test_one_bad_text_does_not_spoil_its_batch(
    api: str, serve: Serve, told: Make, send: Send
) -> None:
    def script(asked: Any) -> tuple[int, Any]:
        if "bad" in texts_of(asked):
            return 400, error(400, "Invalid text content.", "", "INVALID_ARGUMENT")
        return shouting(asked)

    service = serve(script)
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    found = send(provider, [provider.request([text], EN, VI) for text in ("good", "bad", "fine")])
    assert [type(one) for one in found] == [Answer, NoAnswer, Answer]
    assert isinstance(found[1], NoAnswer)
    assert found[1].why == "HTTP 400: Invalid text content."
    assert len(service.asked) == 4


def test_what_cannot_be_read_was_billed(api: str, serve: Serve, told: Make, send: Send) -> None:
    replies: list[Any] = [b"{cut", {"nothing": []}, None]
    service = serve(lambda asked: (200, replies.pop(0) or reply(asked, ["one too few"])))
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    request = provider.request(["abc", "defg"], EN, VI)
    for _ in range(3):
        (outcome,) = send(provider, [request])
        assert isinstance(outcome, Again)
        assert outcome.why == "malformed"
        assert outcome.billed is not None
        assert outcome.billed.characters == 7
        assert outcome.billed.cost_usd == pytest.approx(14e-5)


def test_a_lost_connection_is_the_network(api: str, serve: Serve, told: Make, send: Send) -> None:
    service = serve(lambda asked: (0, b""))
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    (outcome,) = send(provider, [provider.request(["abc"], EN, VI)])
    assert isinstance(outcome, Again)
    assert outcome.why == "network"


def test_what_was_paid_for_is_kept_when_another_call_of_the_batch_ends_the_run(
    serve: Serve, told: Make, send: Send
) -> None:
    def script(asked: Any) -> tuple[int, Any]:
        if "last" in texts_of(asked):
            return 401, error(401, "the key was withdrawn")
        return shouting(asked)

    service = serve(script)
    provider = Google(told(endpoints=[service.url], options={"api": "v2"}))
    first, last = provider.request(["a"] * 127, EN, VI), provider.request(["last"] * 2, EN, VI)
    paid, unpaid = send(provider, [first, last])
    assert isinstance(paid, Answer)
    assert isinstance(unpaid, Again)
    with pytest.raises(ProviderError, match="the key was withdrawn"):
        send(provider, [last])


def test_a_key_speaks_to_v2_and_stands_in_no_address(
    serve: Serve, told: Make, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "s3cret")
    service = serve(lambda asked: (403, error(403, "forbidden")))
    provider = Google(told(endpoints=[service.url]))
    with pytest.raises(ProviderError) as raised:
        send(provider, [provider.request(["abc"], EN, VI)])
    (asked,) = service.asked
    assert asked.headers["x-goog-api-key"] == "s3cret"
    assert "s3cret" not in asked.path
    assert "GOOGLE_API_KEY" in raised.value.problem
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"options": {"api": "v4"}}, 'options.api = "v4"'),
        ({"options": {"locaton": "eu"}}, "unknown key options.locaton"),
        ({"options": {"batch_characters": 30_001}}, "options.batch_characters = 30001"),
        ({"options": {"batch_characters": "5000"}}, "is not a whole number"),
        (
            {"options": {"api": "v2", "glossary": "g", "project": "p"}},
            "a glossary needs Google's v3",
        ),
        (
            {"options": {"api": "v2"}, "model": "translation-llm"},
            "translation-llm needs Google's v3",
        ),
        ({"options": {"api": "v3", "glossary": "g"}}, "a glossary needs its project"),
    ],
)
def test_what_cannot_be_meant_is_refused(section: Any, problem: str, told: Make) -> None:
    with pytest.raises(ConfigError) as raised:
        Google(told(endpoints=["http://127.0.0.1:1"], **section))
    assert problem in raised.value.problem


def test_the_client_that_is_missing_is_named(told: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "installed", lambda module: False)
    with pytest.raises(MissingExtra) as raised:
        Google(told())
    assert "bactrian[google]" in raised.value.hint
    assert "GOOGLE_API_KEY" in raised.value.hint


def test_v3_without_credentials_says_what_to_do(
    told: Make, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = pytest.importorskip("google.auth")

    def none(scopes: Sequence[str]) -> Any:
        raise auth.exceptions.DefaultCredentialsError("none")

    monkeypatch.setattr(auth, "default", none)
    provider = Google(told())
    with pytest.raises(ProviderError, match="no credentials") as raised:
        send(provider, [provider.request(["a"], EN, VI)])
    assert "GOOGLE_APPLICATION_CREDENTIALS" in raised.value.hint


def test_a_glossary_and_a_model_go_to_v3(serve: Serve, told: Make, send: Send) -> None:
    pytest.importorskip("google.cloud.translate_v3")
    found = {"translations": [{"translatedText": "plain"}]}
    found["glossaryTranslations"] = [{"translatedText": "by the glossary"}]
    service = serve(lambda asked: (200, found))
    said = {"api": "v3", "project": "p", "location": "us-central1", "glossary": "terms"}
    provider = Google(told(endpoints=[service.url], options=said, model="translation-llm"))
    request = provider.request(["a"], EN, VI)
    assert request["glossary"] == "p/us-central1/terms"
    assert request["engine"] == "google:translation-llm"
    (answer,) = send(provider, [request])
    assert isinstance(answer, Answer)
    assert answer.output == '["by the glossary"]'
    body = service.asked[0].json
    place = "projects/p/locations/us-central1"
    assert body["model"] == f"{place}/models/general/translation-llm"
    assert body["glossaryConfig"]["glossary"] == f"{place}/glossaries/terms"


@pytest.fixture
def mock() -> Iterator[str]:
    """Start the benchmark's server, which speaks v2 and v3 and misbehaves as told."""
    if not MOCK.is_file():
        pytest.skip("the mock server of the benchmarks is not here (shared/bench)")
    told = ["--port", "0", "--latency-ms", "3", "--rate-429", ".2", "--rate-500", ".05"]
    with subprocess.Popen(
        [sys.executable, str(MOCK), *told, "--retry-after", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["listening"]
        yield re.sub(r"/v1$", "", url)
        server.terminate()


def test_a_run_against_a_server_that_refuses_loses_nothing(
    api: str, mock: str, told: Make, tmp_path: Path
) -> None:
    said = {"api": api, "project": "p", "batch_characters": 400}
    provider = Google(told(endpoints=[mock], concurrency=8, options=said))
    rows = [(f"Task number {row} of many: say something.", "x" * (row % 50)) for row in range(600)]
    requests = [provider.request(row, EN, KM) for row in rows]
    with Ledger(tmp_path / "km.sqlite") as ledger:
        done = fill(
            ledger, requests, provider, "translation", terms=Terms(concurrency=8), task="km"
        )
        assert (done.answered, done.failed, done.charged) == (600, 0, 0)
        assert done.again.get("limit", 0) > 0
        entries = list(ledger.entries())
    count = sum(len(text) for row in rows for text in row)
    assert sum(entry.characters for entry in entries) == count
    assert done.cost_usd == pytest.approx(count * 20 / 1e6)
    assert all("[km] " in entry.output for entry in entries)
