"""Log-likelihoods from llama.cpp's server, which does not echo: it is made to write each token.

A bias that nothing outweighs has it write the token asked for; what ``/completion`` tells of a
written token is the model's own probability, from before biases and samplers. One request a token,
each after the tokens before it; what texts begin with is read once (``cache_prompt``). Of a token
that ends within a character the server tells nothing: there it writes a letter, and the token is
looked for among the likeliest that might have stood in its place, if need be among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.backends.wire import Server
from bactrian.models.scoring import Likelihood, Request

PATH = "/completion"
PROPERTIES = "/props"
BIAS = 1e6
"""Far above every logit."""
LOOKED_AT = (1, 128, 1 << 20)
"""Likeliest tokens that are told at the first try, the second, and the last: all there are."""


class Forced:
    """Scores by forcing; raises ConfigError for a server that does not tell of tokens."""

    def __init__(self, server: Server, probe: Sequence[int], letter: int) -> None:
        """Try it on the ids of a text; ``letter`` is a token that ends with its character."""
        self.server = server
        self.letter = letter
        request = Request(tuple(probe), (letter,))
        said = server.look("POST", PATH, self.bodies(request)[0])
        if _told(said.body, letter) is None:
            problem = said.problem if said.status != 200 else "it tells of other tokens"
            raise ConfigError(
                f"{server.address}: this llama.cpp cannot be made to write a token: {problem}",
                "update it (version b4000 of late 2024 or later), or --backend gguf:FILE",
            )

    def bodies(self, request: Request) -> list[dict[str, Any]]:
        """Return what asks for one request, one body a token of its continuation."""
        return [
            self._body(request, place, token, LOOKED_AT[0])
            for place, token in enumerate(request.continuation)
        ]

    def further(
        self, request: Request, place: int, reply: Any, tries: int
    ) -> dict[str, Any] | None:
        """Return what asks for a token again where the reply does not tell of it."""
        if tries >= len(LOOKED_AT) or _told(reply, request.continuation[place]) is not None:
            return None
        return self._body(request, place, self.letter, LOOKED_AT[tries])

    def read(self, replies: Sequence[Any], request: Request) -> Likelihood:
        """Return what the replies say of the continuation; raises DataError where nothing is."""
        told = []
        for reply, token in zip(replies, request.continuation, strict=True):
            if (one := _told(reply, token)) is None:
                raise DataError(
                    f"{self.server.address} does not tell of the token {token}",
                    "a text longer than its slots is the usual reason: start it with a larger -c",
                )
            told.append(one)
        return Likelihood(sum(nats for nats, _ in told), all(greedy for _, greedy in told))

    def _body(self, request: Request, place: int, written: int, looked_at: int) -> dict[str, Any]:
        return {
            "prompt": [*request.context, *request.continuation[:place]],
            "n_predict": 1,
            "logit_bias": [[written, BIAS]],
            "n_probs": looked_at,
            "temperature": 0,
            "samplers": [],
            "cache_prompt": True,
        }


def properties(server: Server) -> dict[str, Any] | None:
    """Return what llama.cpp's server says of itself, or None for another server."""
    told = server.look("GET", PROPERTIES).body
    return told if isinstance(told, dict) and "default_generation_settings" in told else None


def _told(reply: Any, token: int) -> tuple[float, bool] | None:
    """Return the log-likelihood (nats) of a token and whether none was likelier, if told."""
    try:
        (one,) = reply["completion_probabilities"]
        nats = {other["id"]: float(other["logprob"]) for other in (*one["top_logprobs"], one)}
    except (KeyError, TypeError, ValueError):
        return None
    return (nats[token], nats[token] >= max(nats.values())) if token in nats else None
