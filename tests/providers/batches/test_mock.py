"""Against a server that others wrote: the bench's stand-in for OpenAI, in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian.ledger import Ledger
from bactrian.providers import Price, Told
from bactrian.providers.batches import Options
from bactrian.providers.batches.fill import fill_by_batch
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond

MOCK = Path(__file__).parents[3] / "../shared/bench/mock_openai.py"


class Mock:
    """The running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}{path}", data) as reply:
            found: dict[str, Any] = json.load(reply)
            return found


@pytest.fixture
def mock() -> Iterator[Mock]:
    if not MOCK.is_file():
        pytest.skip("needs ../shared/bench/mock_openai.py beside the repository")
    told = ["--port", "0", "--host", "127.0.0.1", "--batch-delay", "0.2"]
    process = subprocess.Popen([sys.executable, MOCK, *told], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Mock(json.loads(process.stdout.readline())["listening"])
    process.terminate()
    process.communicate(timeout=10)


def filled(mock: Mock, path: Path, numbers: range) -> Filled:
    section = Respond(using="openai", model="gpt-4o-mini", endpoints=(mock.url,))
    chat = OpenAIChat(Told(section, path.parent, Price(0.075, 0.3)))
    with Ledger(path) as ledger:
        return fill_by_batch(
            ledger,
            (
                {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"раз {number}"}]}
                for number in numbers
            ),
            chat,
            "response",
            terms=Terms(),
            task="response ru",
            options=Options(interval=0.05, requests=400),
        )


def test_a_thousand_requests_with_failures_are_paid_once(mock: Mock, tmp_path: Path) -> None:
    mock.ask("/config", {"rate_500": 0.1, "rate_429": 0.05})
    done = filled(mock, tmp_path / "ru.sqlite", range(1000))
    assert (done.answered, done.failed) == (1000, 0)
    stats = mock.ask("/stats")
    assert (stats["paid"], stats["paid_twice"]) == (1000, 0)
    assert done.again["server"] > 50 and done.again["limit"] > 20
    assert done.cost_usd == pytest.approx(stats["cost_usd"] / 2, rel=1e-3), "at half the price"
    assert filled(mock, tmp_path / "ru.sqlite", range(1100)).answered == 100
    assert mock.ask("/stats")["paid"] == 1100
