"""A provider with both batch APIs on the loopback, which counts what it would bill.

It runs in a thread of its own, so it lives on when a client is killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web


@dataclass
class Made:
    """One batch at the provider."""

    id: str
    requests: list[tuple[str, dict[str, Any]]]
    metadata: dict[str, str] | None = None
    created: float = field(default_factory=time.time)
    seconds: float = 0.0
    status: str = ""
    """Where that is not the usual course: failed, expired, cancelled."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] | None = None
    ended: float = 0.0

    @property
    def tokens(self) -> float:
        return sum(len(orjson.dumps(body)) for _, body in self.requests) / 3


class Provider:
    """The server: what it was given, what it billed, and how it is to behave."""

    def __init__(self) -> None:
        self.batches: list[Made] = []
        self.files: dict[str, bytes] = {}
        self.billed: Counter[str] = Counter()
        """Answers by custom_id."""
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[tuple[str, str, bytes]] = []
        self.seconds = 0.05
        """How long a batch takes."""
        self.queue = 0.0
        """Tokens that may be enqueued; 0: no limit."""
        self.names_limit = True
        self.result: Callable[[str, dict[str, Any], int], str] = lambda key, body, time: "ok"
        """What becomes of a request, by key, body, and how often it has come before."""
        self.refuse: Callable[[str, str], web.Response | None] = lambda method, path: None
        self.after: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda lines: lines
        """What is done to the results before they are given out."""
        self.late = 0.0
        """Seconds that a batch needs to get through to the server."""
        self.forgets = False
        """Results are not kept any more."""
        self.came: Counter[str] = Counter()
        self._numbers = iter(range(10**9))
        self._ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.run_forever()
        self.loop.run_until_complete(self.runner.cleanup())
        self.loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.add_routes([web.route("*", "/v1/{path:.*}", self.handle)])
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[union-attr]
        self._ready.set()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def number(self) -> int:
        return next(self._numbers)

    @property
    def paid_twice(self) -> int:
        return self.billed.total() - len(self.billed)

    def sent(self) -> list[list[str]]:
        """Return the custom_ids of every batch, oldest first."""
        return [[key for key, _ in batch.requests] for batch in self.batches]

    # -- the wire -------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.asked.append((request.method, path))
        if (refused := self.refuse(request.method, path)) is not None:
            return refused
        self.proceed()
        parts = path.split("/")
        if parts[0] == "messages":
            return await self.anthropic(request, parts[1:])
        if parts[0] == "files":
            return await self.file(request, parts[1:])
        if parts[0] == "batches":
            return await self.openai(request, parts[1:])
        return web.json_response({"error": {"message": "no route"}}, status=404)

    async def file(self, request: web.Request, parts: list[str]) -> web.Response:
        if request.method == "POST":
            form = await request.post()
            sent = form["file"]
            assert isinstance(sent, web.FileField) and form["purpose"] == "batch"
            data = sent.file.read()
            name = f"file-{self.number()}"
            self.files[name] = data
            self.bodies.append(("POST", "files", data))
            return web.json_response({"id": name, "filename": sent.filename})
        if parts[0] not in self.files or (request.method == "GET" and self.forgets):
            return web.json_response({"error": {"message": "no such file"}}, status=404)
        if request.method == "DELETE":
            del self.files[parts[0]]
            return web.json_response({"id": parts[0], "deleted": True})
        return web.Response(body=self.files[parts[0]])

    async def openai(self, request: web.Request, parts: list[str]) -> web.Response:
        if request.method == "POST":
            body = await request.read()
            self.bodies.append(("POST", "batches", body))
            told = orjson.loads(body)
            await asyncio.sleep(self.late)
            data = self.files.get(told["input_file_id"])
            lines = [orjson.loads(line) for line in (data or b"").splitlines()]
            batch = self.make(
                [(line["custom_id"], line["body"]) for line in lines], told["metadata"]
            )
            if data is None:
                batch.status = "failed"
                batch.errors = [{"code": "file_not_found", "message": "no such file", "line": None}]
            return web.json_response(self.as_openai(batch))
        if not parts:
            return web.json_response(self.page(request, "after", self.as_openai))
        for batch in self.batches:
            if batch.id == parts[0]:
                return web.json_response(self.as_openai(batch))
        return web.json_response({"error": {"message": "no such batch"}}, status=404)

    async def anthropic(self, request: web.Request, parts: list[str]) -> web.Response:
        assert request.headers["anthropic-version"]
        if request.method == "POST":
            body = await request.read()
            self.bodies.append(("POST", "messages/batches", body))
            requests = orjson.loads(body)["requests"]
            await asyncio.sleep(self.late)
            batch = self.make([(one["custom_id"], one["params"]) for one in requests])
            return web.json_response(self.as_anthropic(batch))
        if len(parts) == 1:
            return web.json_response(self.page(request, "after_id", self.as_anthropic))
        known = {batch.id: batch for batch in self.batches}
        if parts[1] not in known or (len(parts) == 3 and self.forgets):
            return web.json_response({"error": {"message": "not found"}}, status=404)
        batch = known[parts[1]]
        if len(parts) == 2:
            return web.json_response(self.as_anthropic(batch))
        assert batch.results is not None
        return web.Response(body=b"\n".join(map(orjson.dumps, batch.results)) + b"\n")

    def page(
        self, request: web.Request, cursor: str, shown: Callable[[Made], dict[str, Any]]
    ) -> dict[str, Any]:
        newest = self.batches[::-1]
        if after := request.query.get(cursor):
            newest = newest[[batch.id for batch in newest].index(after) + 1 :]
        most = min(int(request.query["limit"]), 3)  # so that pages are turned
        return {"data": list(map(shown, newest[:most])), "has_more": len(newest) > most}

    # -- the work -------------------------------------------------------------------------

    def make(
        self, requests: list[tuple[str, dict[str, Any]]], metadata: dict[str, str] | None = None
    ) -> Made:
        batch = Made(f"batch-{self.number()}", requests, metadata, seconds=self.seconds)
        running = [one for one in self.batches if one.results is None and not one.status]
        if self.queue and sum(one.tokens for one in running) + batch.tokens > self.queue:
            batch.status = "failed"
            limit = f"Limit: {self.queue:,.0f} enqueued tokens. " if self.names_limit else ""
            said = f"Enqueued token limit reached for m in organization o. {limit}Try again later."
            batch.errors = [{"code": "token_limit_exceeded", "message": said, "line": None}]
        self.batches.append(batch)
        return batch

    def proceed(self) -> None:
        """End the batches that are due."""
        for batch in self.batches:
            due = time.time() >= batch.created + batch.seconds
            if batch.results is None and due and batch.status != "failed":
                batch.ended = time.time()
                batch.results = self.after([self.run(batch, *one) for one in batch.requests])

    def run(self, batch: Made, key: str, body: dict[str, Any]) -> dict[str, Any]:
        what = self.result(key, body, self.came[key])
        self.came[key] += 1
        anthropic = batch.metadata is None
        if what in ("expired", "cancelled"):
            batch.status = batch.status or what
        if not what.startswith("ok"):
            return _anthropic_error(key, what) if anthropic else _openai_error(key, what)
        self.billed[key] += 1
        text = "" if what == "ok:empty" else _said(body) + what.removeprefix("ok")
        finish = "length" if what == "ok:length" else ""
        number = self.number()
        return (_anthropic_line if anthropic else _openai_line)(key, text, finish, number)

    def as_openai(self, batch: Made) -> dict[str, Any]:
        status = batch.status or "completed"
        if batch.results is None:
            status = batch.status or ("validating" if self.queue else "in_progress")
            if status == "validating" and time.time() > batch.created + batch.seconds / 2:
                status = "in_progress"
        told: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "status": status,
            "created_at": int(batch.created),
            "metadata": batch.metadata,
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "request_counts": {"total": len(batch.requests), "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
        }
        if batch.results is not None:
            good = [line for line in batch.results if (line["response"] or {}).get("id") == "ok"]
            bad = [line for line in batch.results if line not in good]
            for name, lines in (("output_file_id", good), ("error_file_id", bad)):
                if lines:
                    self.files[f"{batch.id}-{name}"] = b"\n".join(map(orjson.dumps, lines)) + b"\n"
                    told[name] = f"{batch.id}-{name}"
            told["request_counts"].update(completed=len(good), failed=len(bad))
            told[f"{status}_at"] = int(batch.ended)
        return told

    def as_anthropic(self, batch: Made) -> dict[str, Any]:
        counts = Counter[str](
            line["result"]["type"] if line.get("result") else "errored"
            for line in batch.results or ()
        )
        ended = batch.results is not None
        if not ended:
            counts["processing"] = len(batch.requests)
        names = ("processing", "succeeded", "errored", "canceled", "expired")
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {name: counts[name] for name in names},
            "created_at": datetime.fromtimestamp(batch.created, UTC).isoformat(),
            "ended_at": datetime.fromtimestamp(batch.ended, UTC).isoformat() if ended else None,
            "results_url": f"https://elsewhere.example/{batch.id}" if ended else None,
        }


def _said(body: dict[str, Any]) -> str:
    content: str = body["messages"][-1]["content"]
    return f"answer {hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _openai_line(key: str, text: str, finish: str, number: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    body = {
        "id": f"chatcmpl-{number}",
        "choices": [{"index": 0, "message": message, "finish_reason": finish or "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    response = {"id": "ok", "status_code": 200, "request_id": "r", "body": body}
    return {"id": f"r-{number}", "custom_id": key, "response": response, "error": None}


def _openai_error(key: str, what: str) -> dict[str, Any]:
    if what in ("expired", "cancelled"):
        error = {"code": f"batch_{what}", "message": f"the batch was {what}"}
        return {"id": "r", "custom_id": key, "response": None, "error": error}
    body = {"error": {"message": f"status {what}"}}
    response = {"id": "bad", "status_code": int(what), "request_id": "r", "body": body}
    return {"id": "r", "custom_id": key, "response": response, "error": None}


def _anthropic_line(key: str, text: str, finish: str, number: int) -> dict[str, Any]:
    message = {
        "id": f"msg-{number}",
        "type": "message",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens" if finish == "length" else "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    return {"custom_id": key, "result": {"type": "succeeded", "message": message}}


def _anthropic_error(key: str, what: str) -> dict[str, Any]:
    if what in ("expired", "cancelled"):
        return {"custom_id": key, "result": {"type": what.replace("cancelled", "canceled")}}
    kind = {"400": "invalid_request_error", "402": "billing_error", "500": "api_error"}[what]
    error = {"type": "error", "error": {"type": kind, "message": f"status {what}"}}
    return {"custom_id": key, "result": {"type": "errored", "error": error}}
