"""A server made of a transformers model, as vLLM and others answer, on the loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class Faked:
    """What the server does, and what it was asked.

    Traits: tokenize, writes, mute, halves, loading, talks (conversations alone), renamed.
    """

    def __init__(self, base: Any, **traits: bool) -> None:
        self.base = base
        self.traits = traits
        self.asked: list[tuple[str, Any]] = []
        self.address = ""
        self.busy = 0
        self.lock = Lock()
        self.pieces: dict[int, str] = {}

    def reply(self, path: str, body: Any) -> tuple[int, Any]:
        with self.lock:
            self.asked.append((path, body))
            if self.busy and path == "/v1/completions":
                self.busy -= 1
                return 503, {"error": {"message": "busy"}}
        if self.traits.get("loading"):
            return 503, {"error": {"message": "Loading model"}}
        if path == "/v1/models":
            return 200, {"data": [{"id": "toy", "created": len(self.asked), "max_model_len": 1024}]}
        if path == "/tokenize" and self.traits.get("tokenize", True):
            ids = self.ids(body["prompt"], body["add_special_tokens"])
            return 200, {"tokens": ids, "count": len(ids), "max_model_len": 1024}
        if path == "/v1/chat/completions":
            if "max_tokens" in body and self.traits.get("renamed"):
                return 400, {"error": {"message": "use 'max_completion_tokens' instead"}}
            (turn,) = body["messages"]
            room = body.get("max_completion_tokens") or body.get("max_tokens")
            text, finish = self.written(self.ids(f"[{turn['content']}]"), room, [])
            message = {"role": "assistant", "content": text}
            return 200, {"choices": [{"message": message, "finish_reason": finish}]}
        if path == "/v1/completions" and not self.traits.get("talks"):
            if body["model"] != "toy":
                return 404, {"error": {"message": "no such model"}}
            return self.completed(body)
        return 404, {"error": {"message": "not here"}}

    def ids(self, text: str, begun: bool = True) -> list[int]:
        found: list[int] = self.base.tokenizer(text, add_special_tokens=begun)["input_ids"]
        return found

    def completed(self, body: Any) -> tuple[int, Any]:
        if body.get("echo") and body["max_tokens"] == 0 and self.traits.get("writes"):
            return 400, {"error": {"message": "max_tokens must be at least 1"}}
        if not body.get("echo"):
            ids = self.ids(body["prompt"]) if isinstance(body["prompt"], str) else body["prompt"]
            text, finish = self.written(ids, body["max_tokens"], body.get("stop") or [])
            answer = {"text": text, "finish_reason": finish}
            return 200, {"choices": [answer], "usage": {"completion_tokens": 3}}
        if self.traits.get("mute"):
            told = {"tokens": [" so"], "token_logprobs": [-1.0], "top_logprobs": [{" so": -1.0}]}
            return 200, {"choices": [{"text": " so", "logprobs": told}]}
        prompt = body["prompt"]
        ids = self.ids(prompt) if isinstance(prompt, str) else prompt
        return 200, {"choices": [{"text": "", "logprobs": self.echoed(ids, body["max_tokens"])}]}

    def written(self, ids: list[int], room: int, stops: list[str]) -> tuple[str, str]:
        """Return what the model writes, up to the first of the stops, and how it ended."""
        from bactrian.models.batched import generate_together

        with self.lock:
            (one,) = generate_together(self.base.model, self.base.tokenizer, [ids], room)
        cut = min((place for stop in stops if (place := one.text.find(stop)) >= 0), default=None)
        return one.text[:cut], one.finish if cut is None else "stop"

    def echoed(self, ids: list[int], more: int) -> dict[str, Any]:
        import torch

        with self.lock, torch.inference_mode():
            logits = self.base.model(input_ids=torch.tensor([ids])).logits[0, :-1]
            nats = logits.float().log_softmax(-1)
        mine = nats.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
        best = nats.max(-1)
        pieces = [self.piece(token) for token in ids]
        starts = [0]
        for piece in pieces[1:]:
            starts.append(starts[-1] + len(piece))
        tops = [
            {self.piece(token): value, f"own {index}": own}
            for index, (token, value, own) in enumerate(
                zip(best.indices.tolist(), best.values.tolist(), mine, strict=True)
            )
        ]
        return {
            "tokens": [*pieces, *["x"] * more],
            "token_logprobs": [None, *mine, *[-50.0] * more],
            "top_logprobs": [None, *tops, *[{"x": -50.0}] * more],
            "text_offset": starts,
        }

    def piece(self, token: int) -> str:
        if token not in self.pieces:
            self.pieces[token] = self._piece(token)
        return self.pieces[token]

    def _piece(self, token: int) -> str:
        """Return a token's text; half a character as OpenAI writes it, or as vLLM does."""
        name = self.base.tokenizer.convert_ids_to_tokens(token)
        if name in ("<s>", "</s>"):
            return str(name)
        text: str = self.base.tokenizer.decode([token])
        if "\N{REPLACEMENT CHARACTER}" not in text or self.traits.get("halves"):
            return text
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        back = {letter: byte for byte, letter in bytes_to_unicode().items()}
        return "bytes:" + "".join(f"\\x{back[letter]:02x}" for letter in name)


def handler(faked: Faked) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send(*faked.reply(self.path, None))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send(*faked.reply(self.path, json.loads(body)))

        def send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def serving(faked: Faked) -> Iterator[Faked]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(faked))
    server.daemon_threads = True
    faked.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield faked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
