"""Asks llama.cpp's server what it makes of texts and prompts. Knows no files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bactrian.errors import RunError
from bactrian.models.llamacpp import NONE, serving

SECONDS = 600
LONGEST = 512
"""Tokens of a prompt and its answer together."""
BIAS = 1e6
"""Far above every logit."""


class Asking:
    """A server, and the one connection to it."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, begun and ended as the file says."""
        body = {"content": text, "add_special": True, "parse_special": True}
        return [int(token) for token in self._post("/tokenize", body)["tokens"]]

    def distribution(self, prompt: Sequence[int], vocabulary: int, letter: int) -> Any:
        """Return the log-probability (nats) of every token after a prompt, numpy [vocabulary].

        It is made to write ``letter``, a token that ends with its character: of others the server
        tells nothing. What it tells is from before that.
        """
        import numpy

        told = self._complete(prompt, 1, {"n_probs": vocabulary, "logit_bias": [[letter, BIAS]]})
        found = numpy.full(vocabulary, -numpy.inf)
        (one,) = told["completion_probabilities"]
        for other in one["top_logprobs"]:
            found[other["id"]] = other["logprob"]
        return found

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """Return the likeliest continuation, fewer than ``count`` tokens where it ends before."""
        return list(self._complete(prompt, count, {"return_tokens": True})["tokens"])

    def turn(self, text: str) -> str:
        """Return the prompt that the file's chat template makes of a user's text."""
        body = {"messages": [{"role": "user", "content": text}]}
        return str(self._post("/apply-template", body)["prompt"])

    def _complete(self, prompt: Sequence[int], count: int, further: Mapping[str, Any]) -> Any:
        body = {
            "prompt": list(prompt),
            "n_predict": count,
            "temperature": 0,
            "samplers": ["top_k"],
            "top_k": 1,
            "cache_prompt": False,
            **further,
        }
        return self._post("/completion", body)

    def _post(self, path: str, body: Any) -> Any:
        import orjson

        data = orjson.dumps(body)
        self._connection.request("POST", path, data, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        read = reply.read()
        if reply.status != 200:
            raise RunError(
                f"llama.cpp answered {path} with HTTP {reply.status}: {read[:200]!r}",
                "write the file without a proof: --no-proof, and report this",
            )
        return orjson.loads(read)


@contextmanager
def asking(path: Path, adapter: Path | None = None) -> Iterator[Asking]:
    """Open a file, with an adapter's file over it where one is named."""
    over = NONE if adapter is None else {adapter: 1.0}
    with serving(path, slots=1, longest=LONGEST, adapters=over, exact=True) as address:
        where = urlsplit(address)
        connection = HTTPConnection(where.hostname or "127.0.0.1", where.port, timeout=SECONDS)
        with closing(connection):
            yield Asking(connection)
