"""A Hub on the loopback: the routes that huggingface_hub and datasets ask for one dataset."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files of one dataset, and remembers what it was asked."""

    def __init__(self, dataset: str, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Routes)
        self.dataset = dataset
        self.files = files
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Routes(BaseHTTPRequestHandler):
    """The routes by their paths; a revision is taken as it comes."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(length) or b"{}")
        wanted = asked.get("paths", [])
        self._note()
        self._json([self._entry(name) for name in wanted if name in self.server.files])

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def _note(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")

    def _answer(self, *, with_body: bool) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        api, files = f"/api/datasets/{self.server.dataset}", f"/datasets/{self.server.dataset}"
        if path == api or path.startswith(f"{api}/revision/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            self._json({"id": self.server.dataset, "sha": COMMIT, "siblings": siblings})
        elif path.startswith(f"{api}/tree/"):
            inside = path.removeprefix(f"{api}/tree/").partition("/")[2]
            names = [name for name in self.server.files if name.startswith(inside)]
            self._json([self._entry(name) for name in names])
        elif path.startswith(f"{files}/resolve/"):
            self._file(path.removeprefix(f"{files}/resolve/").partition("/")[2], with_body)
        else:
            self._none()

    def _entry(self, name: str) -> dict[str, Any]:
        data = self.server.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}

    def _file(self, name: str, with_body: bool) -> None:
        data = self.server.files.get(name)
        if data is None:
            self._none()
            return
        begin, end = 0, len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1 if last else end, end)
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{_etag(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self._send(data[begin:end], with_body)

    def _json(self, value: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self._send(json.dumps(value).encode(), with_body=self.command != "HEAD")

    def _none(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self._send(b"{}", with_body=self.command != "HEAD")

    def _send(self, data: bytes, with_body: bool) -> None:
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def serving(dataset: str, files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Serve a dataset while inside."""
    hub = Hub(dataset, files)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


@pytest.fixture
def serve_hub() -> Callable[[str, Mapping[str, bytes]], AbstractContextManager[Hub]]:
    """Return a context that serves a dataset by its id and its files."""
    return serving
