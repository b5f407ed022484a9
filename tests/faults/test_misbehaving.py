"""The fake provider that misbehaves: every fault at once, and limits that it enforces itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bactrian.ledger import Ledger
from bactrian.providers import Price, Told
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled, fill
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


def filled(path: Path, rows: int, port: int, terms: Terms, **section: Any) -> Filled:
    said = Respond(model="m", endpoints=(f"http://127.0.0.1:{port}/v1",), **section)
    provider = OpenAIChat(Told(said, Path(), Price(input=0.15, output=0.6)))
    requests = [
        {"model": "m", "messages": [{"role": "user", "content": f"câu {number}"}]}
        for number in range(rows)
    ]
    with Ledger(path) as ledger:
        return fill(ledger, requests, provider, "response", terms=terms, task="t")


MOCK = Path(__file__).parents[3] / "shared" / "bench" / "mock_openai.py"


class Mock:
    """The fake provider in a process of its own."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, str(MOCK), "--host", "127.0.0.1", "--port", "0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        address = json.loads(self.process.stdout.readline())["listening"]
        self.port = int(address.removesuffix("/v1").rpartition(":")[2])

    def stats(self) -> dict[str, float]:
        self.process.terminate()
        told: dict[str, float] = json.loads(self.process.communicate(timeout=10)[0])
        return told


@pytest.fixture
def mock() -> Iterator[Callable[..., Mock]]:
    if not MOCK.is_file():
        pytest.skip("the fake provider (../shared/bench) is not here")
    running: list[Mock] = []

    def start(*flags: str) -> Mock:
        running.append(Mock(*flags))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def test_every_fault_at_once_loses_no_row_and_counts_all_that_is_billed(
    path: Path, mock: Callable[..., Mock]
) -> None:
    server = mock(
        *("--latency-ms", "5", "--rate-429", ".08", "--retry-after", ".3", "--retry-after-ms"),
        *("--rate-500", ".03", "--rate-malformed", ".02", "--rate-empty", ".02"),
        *("--rate-drop", ".02"),
    )
    done = filled(path, 800, server.port, Terms(concurrency=16))
    told = server.stats()
    assert (done.answered, done.failed) == (800, 0)
    assert told["paid"] == done.answered + done.charged
    assert told["early_retries"] == 0
    assert told["retries_after_429"] == done.again["limit"] == told["429"] > 20
    assert done.again["server"] == told["500"]
    assert done.again["malformed"] == told["malformed"]
    assert done.again["empty"] == told["empty"]
    assert done.again["network"] == told["dropped"]
    assert done.need.missing + sum(done.again.values()) == told["requests"]


def test_a_told_limit_is_kept_and_used(path: Path, mock: Callable[..., Mock]) -> None:
    server = mock("--latency-ms", "20", "--rpm", "6000", "--burst-s", ".3")
    begun = time.monotonic()
    done = filled(path, 250, server.port, Terms(), rpm=6000)
    seconds = time.monotonic() - begun
    assert (done.answered, server.stats()["429"]) == (250, 0)
    # 100 a second: 2.5 s, and some for a busy machine
    assert 2.3 < seconds < 3.5


def test_a_told_limit_of_tokens_is_kept_and_used(path: Path, mock: Callable[..., Mock]) -> None:
    # 1,024 tokens are allowed to each answer, some 144 are used
    server = mock("--latency-ms", "20", "--tpm", "900000", "--burst-s", ".3")
    begun = time.monotonic()
    done = filled(path, 250, server.port, Terms(), tpm=900_000)
    seconds = time.monotonic() - begun
    told = server.stats()
    used = told["prompt_tokens"] + told["completion_tokens"]
    assert (done.answered, told["429"]) == (250, 0)
    assert used / 15_000 - 0.4 < seconds < used / 15_000 + 2


def test_a_limit_that_is_only_in_the_headers_is_learnt(
    path: Path, mock: Callable[..., Mock]
) -> None:
    server = mock("--latency-ms", "20", "--rpm", "6000", "--burst-s", ".3")
    done = filled(path, 250, server.port, Terms())
    told = server.stats()
    assert done.answered == 250
    # the first 64 go before the first reply names the limit, and some are asked again with them
    assert told["429"] < 100
    assert told["early_retries"] == 0
