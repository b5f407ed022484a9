"""What Google's errors mean, as v2 and v3 say them and as the official client raises them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from bactrian.errors import BactrianError, LanguageError, ProviderError
from bactrian.languages import get
from bactrian.providers import Again, NoAnswer, Outcome, Request, Told
from bactrian.providers.google import Google, heard, understood
from bactrian.providers.http import Lane, Reply
from bactrian.providers.secrets import Key

EN, VI = get("en"), get("vi")
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


def error(status: int, message: str, reason: str = "", state: str = "") -> dict[str, Any]:
    """Return the body of Google's errors."""
    inner = [{"message": message, "domain": "usageLimits", "reason": reason}] if reason else []
    return {"error": {"code": status, "message": message, "errors": inner, "status": state}}


ERRORS: list[tuple[int, dict[str, Any], Any]] = [
    # v2's limits are a 403 (cloud.google.com/translate/quotas); the mock says it in lower case
    (403, error(403, "User Rate Limit Exceeded", "userRateLimitExceeded"), "limit"),
    (403, error(403, "Rate Limit Exceeded", "rateLimitExceeded"), "limit"),
    (403, {"error": {"message": "rate limit exceeded", "code": "403"}}, "limit"),
    (403, error(403, "Daily Limit Exceeded", "dailyLimitExceeded"), ProviderError),
    (
        429,
        error(
            429,
            "Quota exceeded for quota metric 'v3 model characters' and limit 'per minute'",
            state="RESOURCE_EXHAUSTED",
        ),
        "limit",
    ),
    (429, error(429, "Quota exceeded: limit 'Characters per day'"), ProviderError),
    (
        400,
        error(400, "API key not valid. Please pass a valid API key.", "badRequest"),
        ProviderError,
    ),
    (
        403,
        error(403, "Cloud Translation API has not been used", "accessNotConfigured"),
        ProviderError,
    ),
    (403, error(403, "This API method requires billing", state="PERMISSION_DENIED"), ProviderError),
    (401, error(401, "Request had invalid authentication", "authError"), ProviderError),
    (404, error(404, "Model not found", state="NOT_FOUND"), ProviderError),
    (400, error(400, "Bad language pair: {0}", "badRequest"), LanguageError),
    (400, error(400, "Target language is invalid.", state="INVALID_ARGUMENT"), LanguageError),
    (400, error(400, "Text is too long.", state="INVALID_ARGUMENT"), NoAnswer),
    (413, error(413, "Request payload size exceeds the limit"), NoAnswer),
    (500, error(500, "Internal error encountered.", state="INTERNAL"), "server"),
    (503, error(503, "The service is currently unavailable.", "backendError"), "server"),
    (504, error(504, "Deadline exceeded", state="DEADLINE_EXCEEDED"), "server"),
]


@pytest.mark.parametrize(("status", "body", "meaning"), ERRORS)
def test_what_an_error_means(
    status: int, body: Any, meaning: Any, api: str, serve: Serve, told: Make, send: Send
) -> None:
    service = serve(lambda asked: (status, body, {"retry-after": "7"}))
    provider = Google(told(endpoints=[service.url], options={"api": api, "project": "p"}))
    request = provider.request(["abc"], EN, VI)
    if meaning in (ProviderError, LanguageError):
        with pytest.raises(meaning) as raised:
            send(provider, [request])
        assert raised.value.hint
        return
    (outcome,) = send(provider, [request])
    if meaning is NoAnswer:
        assert isinstance(outcome, NoAnswer)
    else:
        assert isinstance(outcome, Again)
        assert (outcome.why, outcome.after, outcome.billed) == (meaning, 7.0, None)
    assert len(service.asked) == 1, "one attempt is one attempt"


def test_no_exception_of_the_official_client_is_unmapped() -> None:
    """Every class of google.api_core and google.auth means something; a bug stays a bug."""
    core = pytest.importorskip("google.api_core.exceptions")
    auth = pytest.importorskip("google.auth.exceptions")
    meanings: dict[str, str] = {}
    for module, base in ((core, core.GoogleAPIError), (auth, auth.GoogleAuthError)):
        for name, known in vars(module).items():
            if isinstance(known, type) and issubclass(known, base):
                meanings[name] = _meaning(_made(known))
    assert len(meanings) > 40
    assert {name for name, meaning in meanings.items() if meaning == "limit"} == {
        "TooManyRequests",
        "ResourceExhausted",
    }
    assert {name for name, meaning in meanings.items() if meaning == "network"} == {
        "TransportError"
    }
    for name in ("Unauthenticated", "PermissionDenied", "NotFound", "RefreshError"):
        assert meanings[name] == "ProviderError"
    for name in ("InvalidArgument", "OutOfRange", "FailedPrecondition"):
        assert meanings[name] == "NoAnswer"
    for name in ("ServiceUnavailable", "DeadlineExceeded", "Aborted", "RetryError", "Unknown"):
        assert meanings[name] == "server"
    with pytest.raises(ZeroDivisionError):
        heard(ZeroDivisionError(), LANE, "google:nmt")


def _made(known: type[Exception]) -> Exception:
    try:
        return known("said")
    except TypeError:
        return known("said", ValueError("cause"))


def _meaning(raised: Exception) -> str:
    try:
        outcome = understood(heard(raised, LANE, "google:nmt"), "google:nmt")
    except BactrianError as told:
        return type(told).__name__
    return outcome.why if isinstance(outcome, Again) else type(outcome).__name__


def test_a_day_s_end_is_no_pause_of_a_second() -> None:
    reply = Reply(403, {}, orjson.dumps(error(403, "Daily Limit Exceeded")), LANE)
    with pytest.raises(ProviderError) as raised:
        understood(reply, "google:nmt")
    assert raised.value.retryable
    assert "midnight" in raised.value.hint
