"""Pages that stay on this machine: nothing points outside, nobody comes in unasked."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError

import pytest

from bactrian.errors import ConfigError
from bactrian.ui import offline

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

TOKEN = "correct-camel-battery-staple"


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ('<link href="https://fonts.googleapis.com/css2?family=A" rel="stylesheet">', ""),
        ("<link rel=stylesheet href='//cdn.example/a.css' />", ""),
        ('<script async src="https://cdnjs.cloudflare.com/a.js"></script>x', "x"),
        ('<script\n  type="module"\n  src="http://a.example/b.js"\n>\n</script>', ""),
        ('<meta property="og:image" content="https://raw.example/a.jpg" />', ""),
        ('<SCRIPT SRC="HTTPS://a.example/b.js"></SCRIPT>', ""),
        ('<script src="./assets/index.js"></script>', None),
        ('<link rel="stylesheet" href="/theme.css?v=1">', None),
        ('<script>const a = "https://gradio.app";</script>', None),
        ('<meta name="viewport" content="width=device-width">', None),
    ],
)
def test_without_outside(page: str, kept: str | None) -> None:
    assert offline.without_outside(page) == (page if kept is None else kept)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("camel.example", False),
    ],
)
def test_other_machines_need_a_token(host: str, inside: bool) -> None:
    assert offline.is_loopback(host) is inside
    offline.check_host(host, TOKEN)
    if inside:
        offline.check_host(host, None)
        return
    with pytest.raises(ConfigError) as caught:
        offline.check_host(host, None)
    assert "--token" in caught.value.hint


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 characters"):
        offline.check_host("0.0.0.0", "camel")


def test_the_theme_loads_no_font() -> None:
    pytest.importorskip("gradio")
    theme = offline.theme()

    assert theme._stylesheets == []
    css = theme._get_theme_css()
    assert "@import" not in css
    assert "url(" not in css.replace('url("data:', "")
    assert "@font-face" not in css


SERVER = """
import fastapi, sys
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from bactrian.ui import offline

app = fastapi.FastAPI(title="Camels")

@app.get("/", response_class=HTMLResponse)
def page():
    return '<p>ਊਠ</p><script src="https://cdn.example/a.js"></script>'

@app.get("/text", response_class=PlainTextResponse)
def text():
    return '<script src="https://cdn.example/a.js"></script>'

app.add_middleware(offline.Offline)
token = sys.argv[1] or None
offline.serve(app, port=0, token=token, say=lambda line: print(line, flush=True))
"""


class Served:
    """A server in a process of its own, as a user starts it."""

    def __init__(self, token: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, token],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdout
        self.said = self.process.stdout.readline()
        address = re.search(r"http://[^/]+/", self.said)
        assert address, self.said
        self.address = address[0]

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *error: object) -> None:
        self.interrupt()

    def interrupt(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def get(self, path: str = "", cookies: CookieJar | None = None, **headers: str) -> Any:
        """The answer's status, headers and text, refusals included."""
        jar = urllib.request.HTTPCookieProcessor(cookies)
        opener = urllib.request.build_opener(jar, urllib.request.ProxyHandler({}))
        try:
            answer = opener.open(urllib.request.Request(self.address + path, headers=headers))
        except HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, answer.headers, answer.read().decode()


def test_serve_answers_this_machine_until_it_is_interrupted() -> None:
    with Served() as server:
        assert "Camels" in server.said
        status, headers, page = server.get()
        assert (status, page) == (200, "<p>ਊਠ</p>")
        assert int(headers["content-length"]) == len(page.encode())
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "server" not in headers
        # what is no page is left as it is
        assert "cdn.example" in server.get("text")[2]
        # a name that somebody else's DNS points here
        assert server.get(Host="camel.example")[0] == 400
        server.interrupt()
        assert server.process.returncode != 0  # the interrupt is the caller's to report


def test_a_token_opens_the_page_once_and_a_cookie_from_then_on() -> None:
    with Served(TOKEN) as server:
        assert f"?token={TOKEN}" in server.said
        assert server.get()[0] == 401
        for wrong in ("", TOKEN[:-1], f"{TOKEN}s", TOKEN.upper()):
            assert server.get(f"?token={wrong}")[0] == 401
        assert server.get(Cookie="bactrian-token=wrong")[0] == 401

        jar = CookieJar()
        assert server.get(f"?token={TOKEN}&a=b", jar)[0] == 200
        assert TOKEN not in str(list(jar))
        assert server.get("text", jar)[0] == 200


def test_the_token_leads_nowhere_else() -> None:
    with Served(TOKEN) as server:
        # followed to another machine, this would be refused by the test's own closed sockets
        assert server.get(f"/evil.example/?token={TOKEN}")[0] == 404


def test_a_port_that_is_taken_is_said() -> None:
    fastapi = pytest.importorskip("fastapi")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            offline.serve(fastapi.FastAPI(), port=port)
