"""The provider of ``fake.py``, and what asks it for rows by their number."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal

import pytest

from bactrian.events import Event, reading
from bactrian.ledger import Charge, Entry, Ledger, key_of
from bactrian.providers import Price, Request, Told
from bactrian.providers.anthropic import AnthropicChat
from bactrian.providers.batches import Options
from bactrian.providers.batches.fill import fill_by_batch
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond

Api = Literal["openai", "anthropic"]
BOTH: tuple[Api, ...] = ("openai", "anthropic")
QUESTION = "តើ {} ជាអ្វី?"
PRICE = Price(1.0, 2.0, source="test")
QUICK = Options(interval=0.02, settle=0.2)


@pytest.fixture
def server() -> Iterator[Any]:
    """Return a provider that runs until the test ends."""
    spec = spec_from_file_location("fake_batches", Path(__file__).with_name("fake.py"))
    assert spec is not None and spec.loader is not None
    fake = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(fake)
    running = fake.Provider()
    yield running
    running.close()


@pytest.fixture(params=BOTH)
def api(request: pytest.FixtureRequest) -> Api:
    """Each of the two APIs in turn."""
    found: Api = request.param
    return found


class Asker:
    """A ledger, and what is asked for in it."""

    def __init__(self, path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.server = server
        monkeypatch.setenv("TEST_KEY", "k-1")

    def chat(self, api: Api, **told: Any) -> Any:
        """Return a chat model at the server."""
        section = Respond(
            using=api,
            model="claude-haiku-4-5" if api == "anthropic" else "m",
            endpoints=(self.server.url,),
            keys=("TEST_KEY",),
            **told,
        )
        made = {"openai": OpenAIChat, "anthropic": AnthropicChat}[api]
        return made(Told(section, self.path.parent, PRICE))

    def request(self, api: Api, number: int) -> Request:
        """Return the request of one row."""
        return {
            "model": "m",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": QUESTION.format(number)}],
        }

    def key(self, api: Api, number: int) -> str:
        """Return its key."""
        return key_of(self.request(api, number))

    def __call__(
        self,
        api: Api,
        numbers: range | list[int],
        terms: Terms | None = None,
        options: Options = QUICK,
    ) -> Filled:
        """Fill the ledger."""
        with Ledger(self.path) as ledger:
            return fill_by_batch(
                ledger,
                (self.request(api, number) for number in numbers),
                self.chat(api),
                "response",
                terms=terms or Terms(),
                task="response km",
                options=options,
            )

    def entries(self) -> dict[str, Entry]:
        """Return what the ledger holds."""
        with Ledger(self.path, read_only=True) as ledger:
            return {entry.key: entry for entry in ledger.entries()}

    def stop_when_out(self, api: Api, numbers: Any, terms: Terms | None = None) -> None:
        """Ask until the batches are out, then break off."""

        class Broken(Exception):
            pass

        class Reader:
            def see(self, event: Event) -> None:
                if event.kind == "progress" and event.facts["out"]:
                    raise Broken

        with reading(Reader()), pytest.raises(Broken):
            self(api, numbers, terms)

    def failures(self) -> dict[str, str]:
        """Return why there is no answer, by key."""
        with Ledger(self.path, read_only=True) as ledger:
            return ledger.failures()

    def charges(self) -> list[Charge]:
        """Return what was paid for without an answer that is kept."""
        with Ledger(self.path, read_only=True) as ledger:
            return list(ledger.charges())


@pytest.fixture
def ask(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Return what asks the server for rows by their number."""
    return Asker(tmp_path / "km.sqlite", server, monkeypatch)
