"""A service that is scripted: a real HTTP server on the loopback, whose replies are a function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson
import pytest

from bactrian.providers import Outcome, Price, Request, Told
from bactrian.recipe import Translate


class Asked(NamedTuple):
    """One request as the server got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


Reply = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
Script = Callable[[Asked], Reply]


class Service:
    """The running server: where it is, and what it was asked."""

    def __init__(self, script: Script) -> None:
        service = self
        self.script = script
        self.asked: list[Asked] = []
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def answer(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(size))
                with service.lock:
                    service.asked.append(asked)
                    status, told, *more = service.script(asked)
                if status == 0:  # gone without a word
                    self.close_connection = True
                    return
                data = told if isinstance(told, bytes) else orjson.dumps(told)
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Service]]:
    """Return what starts a service that answers by a script."""
    running: list[Service] = []

    def start(script: Script) -> Service:
        running.append(Service(script))
        return running[-1]

    yield start
    for service in running:
        service.close()


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Told]:
    """Return a maker of what a translator is made from; 20 USD a million characters."""

    def make(**section: Any) -> Told:
        return Told(Translate(**section), tmp_path, Price(characters=20.0))

    return make


@pytest.fixture
def send() -> Callable[[Any, Sequence[Request]], list[Outcome]]:
    """Return what sends requests once, and closes the provider."""

    def once(provider: Any, requests: Sequence[Request]) -> list[Outcome]:
        async def both() -> list[Outcome]:
            try:
                return list(await provider.send(requests))
            finally:
                await provider.close()

        return asyncio.run(both())

    return once
