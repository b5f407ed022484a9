"""Apertium: lines, marks and codes against a script, and the real engine where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.errors import LanguageError, ProviderError
from bactrian.languages import Language, get
from bactrian.ledger import Ledger, key_of
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told
from bactrian.providers.apertium import Apertium, unmarked
from bactrian.providers.fill import fill
from bactrian.providers.pairs import takers
from bactrian.providers.terms import Terms

EN, ES, GL, HR, VI = (get(code) for code in ("en", "es", "gl", "hr", "vi"))
DEMO = Path(__file__).parents[2] / "demo" / "alpaca.json"
MODES = Path("/usr/share/apertium/modes")
PAIRS = [("eng", "spa"), ("eng", "glg"), ("eng", "hbs_HR"), ("hbs", "eng"), ("hbs", "slv")]

Serve = Callable[..., Any]
Make = Callable[..., Told]
Send = Callable[[Any, Sequence[Request]], list[Outcome]]


def said(texts: str) -> dict[str, Any]:
    return {"responseData": {"translatedText": texts}, "responseDetails": None}


def server(script: Callable[[Any], tuple[int, Any]]) -> Callable[[Any], tuple[int, Any]]:
    listed = [{"sourceLanguage": one, "targetLanguage": other} for one, other in PAIRS]

    def answer(asked: Any) -> tuple[int, Any]:
        if asked.path == "/listPairs":
            return 200, {"responseData": listed, "responseStatus": 200}
        return script(asked)

    return answer


def shouting(asked: Any) -> tuple[int, Any]:
    return 200, said(asked.form["q"].upper())


def test_each_line_is_a_call_and_the_layout_stays(serve: Serve, told: Make, send: Send) -> None:
    service = serve(server(shouting))
    provider = Apertium(told(endpoints=[service.url]))
    texts = ["  a < b & c\r\n\r\n\t- d+e \n", "", "שלום 🐫\u2028x", " "]
    (answer,) = send(provider, [provider.request(texts, EN, ES)])
    assert isinstance(answer, Answer)
    wanted = ["  A < B & C\r\n\r\n\t- D+E \n", "", "שלום 🐫\u2028X", " "]
    assert orjson.loads(answer.output) == wanted
    assert answer.characters == len(texts[0]) + len(texts[2])
    calls = [asked for asked in service.asked if asked.path == "/translate"]
    assert sorted(asked.form["q"] for asked in calls) == ["- d+e", "a < b & c", "x", "שלום 🐫"]
    for asked in calls:
        assert asked.form["langpair"] == "eng|spa"
        assert (asked.form["format"], asked.form["markUnknown"]) == ("txt", "no")


@pytest.mark.parametrize(
    ("source", "target", "langpair"),
    [("en", "gl", "eng|glg"), ("en", "hr", "eng|hbs_HR"), ("hr", "en", "hbs|eng")],
)
def test_the_pair_is_in_the_server_s_codes(
    source: str, target: str, langpair: str, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(server(shouting))
    provider = Apertium(told(endpoints=[service.url]))
    send(provider, [provider.request(["a"], get(source), get(target))])
    assert service.asked[-1].form["langpair"] == langpair


@pytest.mark.parametrize(
    ("source", "found", "wanted"),
    [
        ("keep fit", "quedarse #acceso", "quedarse acceso"),
        ("a zyx word", "una @zyx palabra", "una zyx palabra"),
        ("the #1 of bob@example.com", "el #1 de bob@example.com", "el #1 de bob@example.com"),
        ("use #tags", "#usar #etiquetas", "#usar #etiquetas"),
        ("write in C# now", "escribe en C# #ahora", "escribe en C# ahora"),
        ("mail bob@example.com", "@correo bob@example.com", "correo bob@example.com"),
        ("# of items", "# de #elemento", "# de elemento"),
        ("shows me a haiku", "móstrame  un haiku", "móstrame un haiku"),
        ("a  table", "unha  mesa", "unha  mesa"),
    ],
)
def test_marks_of_doubt_go_and_signs_of_the_text_stay(source: str, found: str, wanted: str) -> None:
    assert unmarked(source, found) == wanted


def test_a_pair_that_there_is_no_package_for_is_refused_at_once(told: Make) -> None:
    provider = Apertium(told())
    with pytest.raises(
        LanguageError, match="apertium does not translate English into Vi"
    ) as raised:
        provider.request(["a"], EN, VI)
    assert "google" in raised.value.hint
    assert "apertium" in takers("en", "gl")
    assert "apertium" not in takers("gl", "hr")
    with pytest.raises(LanguageError, match="into itself"):
        provider.request(["a"], EN, EN)


def test_a_pair_that_this_server_lacks_is_refused_before_a_text_is_sent(
    serve: Serve, told: Make, send: Send
) -> None:
    service = serve(server(shouting))
    provider = Apertium(told(endpoints=[service.url]))
    with pytest.raises(LanguageError, match="the server has no mode for it"):
        send(provider, [provider.request(["a"], get("es"), get("fr"))])
    assert [asked.path for asked in service.asked] == ["/listPairs"]


# the bodies are those of apertium_apy/handlers/base.py
ERRORS: list[tuple[int, Any, Any]] = [
    (503, {"status": "error", "code": 503, "explanation": "internal error"}, "server"),
    (408, {"status": "error", "code": 408, "message": "Request Timeout"}, "server"),
    (429, b"", "limit"),
    (400, {"status": "error", "code": 400, "message": "Bad Request"}, NoAnswer),
    (404, {"status": "error", "code": 404, "message": "Not Found"}, ProviderError),
    (200, {"responseData": None}, "malformed"),
    (200, b"<html>", "malformed"),
    (200, said(" "), "empty"),
]


@pytest.mark.parametrize(("status", "body", "meaning"), ERRORS)
def test_what_an_error_means(
    status: int, body: Any, meaning: Any, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(server(lambda asked: (status, body)))
    provider = Apertium(told(endpoints=[service.url]))
    request = provider.request(["abc"], EN, ES)
    if meaning is ProviderError:
        with pytest.raises(ProviderError):
            send(provider, [request])
        return
    (outcome,) = send(provider, [request])
    assert outcome.why == meaning if isinstance(outcome, Again) else meaning is NoAnswer


def test_what_is_no_apertium_is_said_so(serve: Serve, told: Make, send: Send) -> None:
    provider = Apertium(told(endpoints=[serve(lambda asked: (200, {"pairs": []})).url]))
    with pytest.raises(ProviderError, match="is no Apertium APY"):
        send(provider, [provider.request(["a"], EN, ES)])


# -- the real engine ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def apy() -> Iterator[str]:
    """Start Debian's apertium-apy with the pairs that are installed."""
    needed = ("eng-spa", "spa-eng", "en-gl", "gl-en")
    if not shutil.which("apertium-apy") or not all(
        (MODES / f"{one}.mode").is_file() for one in needed
    ):
        pytest.skip("Apertium is not installed (make apertium)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["apertium-apy", "--port", str(port), str(MODES)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(200):
                try:
                    with urllib.request.urlopen(f"{url}/listPairs", timeout=5):
                        break
                except OSError:
                    assert server.poll() is None, "apertium-apy ended at once"
                    time.sleep(0.05)
            yield url
        finally:
            server.terminate()


def instructions() -> list[tuple[str, str]]:
    rows = orjson.loads(DEMO.read_bytes())[:200]
    return [(row["instruction"], row["input"]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("target", [ES, GL], ids=lambda language: language.code)
def test_the_real_engine_translates_200_instructions_and_back(
    target: Language, apy: str, told: Make, tmp_path: Path
) -> None:
    rows = instructions()
    there = translated(rows, EN, target, apy, told, tmp_path)
    back = translated(there, target, EN, apy, told, tmp_path)
    assert len(rows) == len(there) == len(back) == 200
    for before, after in zip(rows + there, there + back, strict=True):
        for source, text in zip(before, after, strict=True):
            assert bool(source.strip()) == bool(text.strip())
            assert source.count("\n") == text.count("\n")
            assert "\ufffd" not in text
            assert "  " in source or "  " not in text
    changed = sum(row[0] != other[0] for row, other in zip(rows, there, strict=True))
    assert changed > 190
    words = " ".join(text for row in there for text in row).split()
    usual = {"es": {"de", "la", "el", "para"}, "gl": {"de", "a", "o", "para"}}[target.code]
    assert sum(word in usual for word in words) > 0.1 * len(words)
    assert shared(rows, back) > 0.5 > 0.3 > shared(rows, there)


def shared(rows: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> float:
    """The share of words of the instructions that the other side has, too."""
    kept = total = 0
    for row, other in zip(rows, others, strict=True):
        words = row[0].lower().split()
        kept += len(set(words) & set(other[0].lower().split()))
        total += len(set(words))
    return kept / total


def translated(
    rows: Sequence[tuple[str, str]],
    source: Language,
    target: Language,
    apy: str,
    told: Make,
    folder: Path,
) -> list[tuple[str, str]]:
    provider = Apertium(told(endpoints=[apy], concurrency=8))
    requests = [provider.request(row, source, target) for row in rows]
    path = folder / f"{source.code}-{target.code}.sqlite"
    terms = Terms(concurrency=8)
    with Ledger(path) as ledger:
        done = fill(ledger, requests, provider, "translation", terms=terms, task=target.code)
        assert done.failed == 0
        assert done.answered == done.need.missing == len({key_of(one) for one in requests})
    again = Apertium(told(endpoints=["http://127.0.0.1:1"]))  # nobody is there: nothing is asked
    with Ledger(path) as ledger:
        assert fill(ledger, requests, again, "translation", terms=terms, task="x").answered == 0
        entries = [ledger.get(key_of(request)) for request in requests]
    found = [orjson.loads(entry.output) for entry in entries if entry is not None]
    assert all(len(texts) == 2 for texts in found)
    return [(instruction, input) for instruction, input in found]
