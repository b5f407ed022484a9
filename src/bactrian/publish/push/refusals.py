"""What the Hub and the way to it can refuse, each as a problem and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bactrian.errors import BactrianError, ConfigError, RunError

AGAIN = "run the same command again: nothing of it is visible, and what went ahead is kept"
LOG_IN = "log in anew: hf auth login; or set HF_TOKEN to one that may write"
MAY_WRITE = "use a token that may write there, or name a repository of your own: --repo USER/NAME"


@contextmanager
def speaking(repo: str) -> Iterator[None]:
    """Turn what goes wrong while the Hub is spoken to into an error for the user."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        yield
    except BactrianError:
        raise
    except OfflineModeIsEnabled:
        raise ConfigError(
            "the Hub is not asked: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE, and push again"
        ) from None
    except HFValidationError:
        raise ConfigError(f"{repo} is no name of a repository", "write it as user/name") from None
    except HfHubHTTPError as error:
        raise refused(repo, error) from None
    except (OSError, RuntimeError, ValueError, *_network()) as error:
        raise _broken(repo, error) from None


def refused(repo: str, error: Any) -> BactrianError:
    """Return what an answer of the Hub means; the words of the server follow ours."""
    status = error.response.status_code if error.response is not None else 0
    where = repo or "the Hub"
    if status == 401:
        return ConfigError("the Hub does not know the token that is here", LOG_IN)
    if status == 403:
        return ConfigError(f"the token that is here may not write to {where}", MAY_WRITE)
    if status == 404:
        return ConfigError(f"there is no {where}, or the token may not see it", MAY_WRITE)
    if status in (409, 412):
        return RunError(f"{where} was changed by somebody else meanwhile", AGAIN)
    if status == 429:
        wait = _seconds(error.response.headers)
        after = f"wait {wait} seconds, then " if wait else "wait some minutes, then "
        return RunError(f"the Hub takes no more requests now (rate limit): {where}", after + AGAIN)
    if status >= 500:
        return RunError(f"the Hub has a fault of its own ({status}): {where}", AGAIN)
    return RunError(f"the Hub refused {where} ({status}): {_first_line(error)}", "mend that first")


def _seconds(headers: Mapping[str, str]) -> str:
    """Return how long the Hub wants to be left alone, empty where it does not say it."""
    told = headers.get("Retry-After", "")
    reset = re.search(r"\bt=(\d+)", headers.get("RateLimit", ""))
    return told if told.isdigit() else reset[1] if reset else ""


def _broken(repo: str, error: BaseException) -> BactrianError:
    """Return what a call that has no answer means: a network, or a card that is refused."""
    from huggingface_hub.errors import HfHubHTTPError

    cause = error.__cause__
    if isinstance(error, ValueError) and "README" in str(error):
        return ConfigError(
            f"the Hub refuses the head of README.md: {' '.join(str(error).split())}",
            "mend the lines between the dashes in the folder, and push it again",
        )
    if isinstance(cause, HfHubHTTPError):
        return refused(repo, cause)
    if isinstance(error, _network()) or isinstance(cause, _network()):
        return RunError(f"the Hub cannot be reached: {_first_line(cause or error)}", AGAIN)
    if isinstance(error, PermissionError) and type(error).__module__.startswith("hf_xet"):
        return ConfigError(f"the token that is here may not write to {repo}", MAY_WRITE)
    if isinstance(error, RuntimeError):  # what hf_xet says of anything else
        return RunError(f"sending to {repo} failed: {_first_line(cause or error)}", AGAIN)
    raise error


def _network() -> Any:
    """Return the errors of connections, whichever client huggingface_hub speaks through."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    return (HTTPError, ConnectionError, TimeoutError)


def _first_line(error: BaseException | None) -> str:
    words = str(error or "").strip()
    return words.partition("\n")[0] or type(error).__name__
