"""A scripted speaker, its page on a real server, and a real browser."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from bactrian import languages
from bactrian.models.generation import GenerationSettings

T = TypeVar("T")

LANGUAGES = ("ar", "km")


@dataclass
class Script:
    """A speaker that says what the test wrote for each adapter, a few letters at a time."""

    lines: dict[str, str]
    name: str = "demo/base-<b>1</b>"
    adapters: tuple[str, ...] = ()
    pause: float = 0.002
    """Seconds between two pieces."""
    asked: list[tuple[str, str, GenerationSettings, str]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def language(self, adapter: str) -> Any:
        return languages.get(adapter) if adapter in LANGUAGES else None

    def stream(
        self, instruction: str, input: str, settings: GenerationSettings, adapter: str = ""
    ) -> Generator[str, None, None]:
        self.asked.append((instruction, input, settings, adapter))
        if self.error:
            raise self.error
        line = self.lines[adapter]
        try:
            for end in range(1, len(line) + 1):
                time.sleep(self.pause)
                yield line[:end]
        finally:
            self.closed.set()


def _in_a_loop(make: Callable[[], T]) -> T:
    """Call ``make`` where a loop runs: elsewhere Gradio opens one of its own and leaves it."""

    async def call() -> T:
        return make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(call())
    return make()


@contextmanager
def _served(speaker: Script) -> Iterator[str]:
    """The address of the page of ``speaker``."""
    from bactrian.ui import chat

    uvicorn = pytest.importorskip("uvicorn")
    app = _in_a_loop(lambda: chat.application(speaker))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def script() -> type[Script]:
    """Makes speakers that say what they are told."""
    return Script


@pytest.fixture(scope="session")
def served() -> Any:
    """Serves the page of a speaker for as long as the block lasts; gives its address."""
    return _served


@pytest.fixture(scope="session")
def in_a_loop() -> Any:
    """Calls a function where a loop runs."""
    return _in_a_loop


CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()
