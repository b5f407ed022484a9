"""Keeps a Gradio page on this machine: what it looks like without the net, and who gets in.

Knows Gradio's habits and HTTP. Knows nothing of what the page is about.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from bactrian.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_LENGTH = 16
"""Fewest characters of a token: too many to be found by trying."""

_COOKIE = "bactrian-token"

_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio writes both into its page
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

FONTS = [
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Naskh Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Khmer",
    "Noto Sans Myanmar",
    "Noto Sans Thai",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Gujarati",
    "Noto Sans Tamil",
    "Noto Sans Telugu",
    "Noto Sans Malayalam",
    "Noto Sans Sinhala",
    "Noto Sans Georgian",
    "Noto Sans CJK SC",
    "Noto Sans SC",
]
"""Asked for by name where they are installed; the system's own follow."""

_STACK = ", ".join(f'"{name}"' for name in FONTS)

# Gradio quotes every font of a theme, and a quoted "system-ui" is no longer the system's font;
# the repeated selectors outrank the theme, light and dark, whichever comes first.
CSS = f"""
:root:root:root, :root:root .dark {{
  --font: {_STACK}, system-ui, sans-serif;
  --font-mono: ui-monospace, "Noto Sans Mono", {_STACK}, monospace;
}}
textarea {{ text-align: start; line-height: 1.7 !important; }}
"""

# Gradio knows left to right and right to left; what is missing is the direction of the text.
HEAD = """
<script>
(() => {
  const follow = () => {
    for (const box of document.querySelectorAll("textarea[dir=ltr]")) box.dir = "auto";
  };
  new MutationObserver(follow).observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["dir"],
  });
})();
</script>
"""

_OUTSIDE = re.compile(
    r"""<(?P<tag>script|link|meta|img|iframe)\b
        [^>]*?\b(?:src|href|content)\s*=\s*["']\s*(?:https?:)?//[^>]*>
        (?:\s*</(?P=tag)\s*>)?""",
    re.IGNORECASE | re.VERBOSE,
)


def theme() -> Any:
    """Return a theme that loads no font, neither from a server nor from Gradio's own folder."""
    from gradio import themes

    soft = themes.Soft(
        primary_hue=themes.colors.amber,
        secondary_hue=themes.colors.amber,
        neutral_hue=themes.colors.stone,
        font=["sans-serif"],
        font_mono=["monospace"],
    )
    # readable first: at least 4.5 to 1 between letters and what is behind them
    return soft.set(
        body_background_fill="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_label_text_color="*neutral_700",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_padding="0",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        input_shadow="none",
        input_shadow_dark="none",
    )


def without_outside(html: str) -> str:
    """Return the page without the elements that point to other machines."""
    return _OUTSIDE.sub("", html)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, token: str | None) -> None:
    """Refuse to let other machines in without a token, or with one that can be guessed.

    Raises ConfigError.
    """
    make = 'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
    if token is not None and len(token) < TOKEN_LENGTH:
        raise ConfigError(f"the token has fewer than {TOKEN_LENGTH} characters", make)
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"on {host} every machine of the network could use the model",
            f"stay on 127.0.0.1, or give --token; {make}",
        )


def serve(
    app: FastAPI,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    token: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until it is interrupted; port 0 takes a free one. ``say`` gets the address.

    Raises ConfigError when the host would open the page to other machines without a token, or
    when the address cannot be had.
    """
    import uvicorn
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    check_host(host, token)
    listener = _listen(host, port)
    guarded = (
        Gate(app, token)
        if token
        # a page of the web could give this machine its own name, and ask in that name
        else TrustedHostMiddleware(app, ["127.0.0.1", "localhost", "::1", host])
    )
    shown = f"[{host}]" if ":" in host else host
    query = f"?token={token}" if token else ""
    say(f"{app.title}: http://{shown}:{listener.getsockname()[1]}/{query} (Ctrl-C ends it)")
    config = uvicorn.Config(
        guarded,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


class Offline:
    """ASGI: takes what points outside from every page, and has the browser refuse the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        page = _Page(send)
        # a compressed page could not be read here, and there is no line to spare
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, page.send)


class _Page:
    """One response: HTML is held until it is whole, everything else passes through."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *_HEADERS]
            message = {**message, "headers": headers}
            if dict(headers).get(b"content-type", b"").startswith(b"text/html"):
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = without_outside(self._body.decode("utf-8")).encode("utf-8")
            await self._send(_resized(self._start, len(body)))
            message = {"type": "http.response.body", "body": body}
        await self._send(message)


def _resized(start: Message, length: int) -> Message:
    kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    return {**start, "headers": [*kept, (b"content-length", str(length).encode())]}


class Gate:
    """ASGI: lets in who brings the token, once in the address and then in a cookie.

    The cookie holds a hash of the token, and neither scripts nor other sites' forms can use it.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._pass = hashlib.sha256(b"bactrian page " + self._token).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse, RedirectResponse

        if scope["type"] not in ("http", "websocket") or self._knows(scope):
            await self._app(scope, receive, send)
            return
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        given = dict(query).get("token", "").encode()
        if scope["type"] == "http" and hmac.compare_digest(given, self._token):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            # a path that begins with two slashes would name another machine
            path = "/" + scope["path"].lstrip("/\\")
            answer = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
            answer.set_cookie(_COOKIE, self._pass, httponly=True, samesite="lax")
            await answer(scope, receive, send)
            return
        refusal = "Open this page with ?token= and the token it was started with.\n"
        await PlainTextResponse(refusal, status_code=401)(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    cookie = SimpleCookie(value.decode("latin-1")).get(_COOKIE)
                except CookieError:
                    return False
                if cookie and hmac.compare_digest(cookie.value.encode(), self._pass.encode()):
                    return True
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            "take another port; --port 0 takes one that is free",
        ) from error
