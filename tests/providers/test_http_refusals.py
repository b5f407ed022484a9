"""What a reply other than a 200 means, how long it says to wait, and what of it may be shown."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import orjson
import pytest

from bactrian.errors import ProviderError
from bactrian.providers import Again, NoAnswer
from bactrian.providers.http import TRUST, Lane, Reply, refusal, retry_after, said_in
from bactrian.providers.limits import Pace
from bactrian.providers.secrets import Key

KEY = Key("TEST_KEY", "sk-very-secret-1234567890")


def told(status: int, body: Any = b"", /, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    lane = Lane("http://here/v1", KEY, {})
    return Reply(
        status, {name.replace("_", "-"): said for name, said in headers.items()}, data, lane
    )


# -- what a reply means -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why"),
    [(429, "limit"), *((status, "server") for status in (408, 409, 425, 500, 502, 503, 504, 529))],
)
def test_these_are_asked_again(status: int, why: str) -> None:
    reply = told(status, {"error": {"message": "slow down", "code": "x"}}, retry_after="2")
    assert refusal(reply, "openai:m") == Again(why, f"HTTP {status}: slow down (x)", 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [400, 406, 413, 415, 422, 451])
def test_these_are_the_fault_of_one_request(status: int) -> None:
    reply = told(status, {"error": {"message": "too long"}})
    assert refusal(reply, "openai:m") == NoAnswer(f"HTTP {status}: too long")


@pytest.mark.parametrize(
    ("status", "body", "problem", "hint"),
    [
        (401, {"error": {"message": "bad"}}, "refuses the key TEST_KEY: bad", "check the key"),
        (403, b"", "refuses the key TEST_KEY: HTTP 403", "what it may do"),
        (402, b"", "has no credit left for TEST_KEY: 402", "add credit"),
        (
            429,
            {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}},
            "no credit left for TEST_KEY: You exceeded your quota (insufficient_quota)",
            "add credit",
        ),
        (
            400,
            {"error": {"message": "Your credit balance is too low to access the API"}},
            "no credit left",
            "name another key",
        ),
        (
            404,
            {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
            "knows no such model or address: The model `x` does not exist (model_not_found)",
            "asked http://here/v1",
        ),
        (405, b"", "no such model or address: HTTP 405", "endpoints = in the recipe"),
        (301, b"", "no such model or address: HTTP 301", "endpoints = in the recipe"),
        (303, b"", "no such model or address: HTTP 303", "endpoints = in the recipe"),
        (308, b"", "no such model or address: HTTP 308", "endpoints = in the recipe"),
    ],
)
def test_these_end_the_run_with_the_next_step(
    status: int, body: Any, problem: str, hint: str
) -> None:
    with pytest.raises(ProviderError) as error:
        refusal(told(status, body), "openai:m")
    assert error.value.problem.startswith("openai:m ")
    assert problem in error.value.problem
    assert hint in error.value.hint
    assert not error.value.retryable


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "-5"}, 0.0),
        # nonsense, and what would make a request wait for ever
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "604800"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 99 Dec 2026 23:59:59 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 -0000",
                "date": "Wed, 21 Oct 2015 07:28:00 -0000",
            },
            30.0,
        ),
    ],
)
def test_retry_after_is_read(headers: Mapping[str, str], wait: float | None) -> None:
    assert retry_after(headers) == wait


def test_retry_after_as_a_date_without_the_server_s_clock_goes_by_ours() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 20, usegmt=True)})
    assert wait is not None
    assert 18 <= wait <= 20


# -- what is said of it -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b'{"error": {"message": "Slow  down\\n", "type": "t", "code": "c"}}', "Slow down (c)"),
        (b'{"error": "plain"}', "plain"),
        (b'{"message": "m"}', "m"),
        (b'{"detail": [{"msg": "x"}]}', ""),
        (b'{"object": "error", "message": "no model", "code": 404}', "no model"),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b"[]", ""),
        (b"{}", ""),
        (b"<html>\r\n<h1>502 Bad\tGateway</h1>", "<html> <h1>502 Bad Gateway</h1>"),
        ("quota dépassé".encode("latin-1"), "quota d�pass�"),
        ("配额已用完".encode(), "配额已用完"),
        ("نفد الرصيد".encode(), "نفد الرصيد"),
        (b"\x1b[2J\x1b]0;pwned\x07 \x9b31mred \xe2\x80\xaeevil", "[2J]0;pwned �31mred evil"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_what_an_error_says_is_one_line_that_can_be_shown(body: bytes, said: str) -> None:
    assert said_in(body) == said
    assert said_in(body).isprintable()


def test_a_deep_error_ends() -> None:
    assert said_in(b'{"error":' * 200 + b'"deep"' + b"}" * 200) == "deep"


# -- what the lane learns from it


def test_limits_are_learnt_from_replies_and_refusals() -> None:
    limits = {
        "x_ratelimit_limit_requests": "600",
        "x_ratelimit_remaining_requests": "599",
        "x_ratelimit_reset_requests": "100ms",
    }
    for status in (200, 429):
        reply = told(status, **limits)
        refusal(reply, "openai:m")
        assert reply.lane.requests.rate == 10
        assert reply.lane.units.rate == math.inf


def test_refusals_that_show_a_limit_slow_the_lane_down(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(100.0, 0.01)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    reply = told(429)
    for _ in range(200):
        reply.lane.wait(0.0)
        refusal(reply, "openai:m")
    assert reply.lane.requests.rate < 100
    calm = told(429)
    calm.lane.requests = Pace(60)
    refusal(calm, "openai:m")
    assert calm.lane.requests.rate == 1


def test_a_403_among_answers_is_that_row_s_alone_and_a_row_of_them_is_the_key_s() -> None:
    forbidden = told(403, {"error": {"message": "flagged by moderation"}})
    with pytest.raises(ProviderError, match="refuses the key"):
        refusal(forbidden, "openai:m")
    refusal(Reply(200, {}, b"", forbidden.lane), "openai:m")
    for _ in range(TRUST):
        found = refusal(forbidden, "openai:m")
        assert isinstance(found, NoAnswer)
        assert "flagged by moderation" in found.why
    with pytest.raises(ProviderError, match="refuses the key"):
        refusal(forbidden, "openai:m")
