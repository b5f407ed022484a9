"""Log-likelihoods of a prompt's own tokens: ``/v1/completions`` with ``echo`` and ``logprobs``.

vLLM and others of OpenAI's older interface. With the server's token ids the cut is at an id; with
texts alone it is where a token begins, and a token that spans the join is the continuation's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.backends.wire import Server
from bactrian.evaluate.backends.words import text_of
from bactrian.models.scoring import Likelihood, Request

PATH = "/v1/completions"
PROBE = "Once upon a time there was a camel"
BYTES = re.compile(r"\\x([0-9a-fA-F]{2})")
CLOSE = 1e-6
"""Nats by which the likeliest token may be above the one asked, both rounded by the server."""


@dataclass(frozen=True, slots=True)
class Counted(Likelihood):
    """What a server said of one text, where its tokens are known from the reply alone."""

    tokens: int
    """Tokens of the continuation."""
    spanned: bool
    """Whether a token spanned the join; it is counted as the continuation's."""


class Echo:
    """Scores by echo; raises ConfigError, by the address, for a server that gives none."""

    def __init__(self, server: Server, model: str, by_text: bool, probe: Sequence[int]) -> None:
        """Find out whether and how the server echoes; ``probe`` is token ids of a text."""
        self.server = server
        self.model = model
        self.by_text = by_text
        self.more = 0
        """Tokens that have to be written for the prompt's to be told; left out of the sums."""
        prompt: Any = PROBE if by_text else list(probe)
        least = 2 if by_text else len(probe)
        problem = ""
        for self.more in (0, 1):
            said = server.look("POST", PATH, self._body(prompt))
            found = _logprobs(said.body)
            if found is not None and len(found["token_logprobs"]) - self.more >= least:
                return
            problem = said.problem if said.status != 200 else "echo and logprobs are not honoured"
        raise ConfigError(
            f"{server.address} gives no log-likelihoods of a prompt: {problem}",
            "vLLM and llama.cpp's server do; or name a file: --backend gguf:FILE",
        )

    def bodies(self, request: Request) -> list[dict[str, Any]]:
        """Return what asks for one request."""
        whole = (*request.context, *request.continuation)
        return [self._body(text_of(whole) if self.by_text else list(whole))]

    def further(
        self, request: Request, place: int, reply: Any, tries: int
    ) -> dict[str, Any] | None:
        """Return nothing: one reply tells of all tokens."""

    def read(self, replies: Sequence[Any], request: Request) -> Likelihood:
        """Return what the reply says of the continuation; raises DataError where nothing is."""
        found = _logprobs(replies[0])
        if found is None:
            raise DataError(
                f"{self.server.address} left the log-likelihoods out of a reply",
                "see the server's log, and run the same command again",
            )
        nats = found["token_logprobs"]
        count = len(nats) - self.more
        if self.by_text:
            first, spanned = _cut(found, count, request, self.server.address)
        else:
            first, spanned = len(request.context), False
            if count != len(request):
                raise DataError(
                    f"{self.server.address} was asked of {len(request)} tokens and told of {count}",
                    "the server changes prompts of token ids: its numbers cannot be cut",
                )
        mine = nats[first:count]
        if not mine or any(not isinstance(one, int | float) for one in mine):
            raise DataError(
                f"{self.server.address} gives no number for the first token of a text",
                "nothing stands before it: the server puts no begin token there",
            )
        sure = _greedy(mine, (found.get("top_logprobs") or [])[first:count])
        if self.by_text:
            return Counted(float(sum(mine)), sure, len(mine), spanned)
        return Likelihood(float(sum(mine)), sure)

    def _body(self, prompt: Any) -> dict[str, Any]:
        return {
            "model": self.model,
            "prompt": prompt,
            "echo": True,
            "logprobs": 1,
            "max_tokens": self.more,
            "temperature": 0,
        }


def _logprobs(reply: Any) -> dict[str, Any] | None:
    """Return the part of a reply with a list of ``token_logprobs``, or None."""
    try:
        found = reply["choices"][0]["logprobs"]
        return found if isinstance(found["token_logprobs"], list) else None
    except (KeyError, IndexError, TypeError):
        return None


def _greedy(nats: Sequence[float], tops: Sequence[Any]) -> bool:
    """Whether every token was the likeliest; False where the server does not tell of others."""
    if len(tops) != len(nats) or not all(tops):
        return False
    return all(one >= max(top.values()) - CLOSE for one, top in zip(nats, tops, strict=True))


def _cut(found: dict[str, Any], count: int, request: Request, who: str) -> tuple[int, bool]:
    """Return the first token of the continuation, and whether it begins before the join.

    By the bytes of the tokens where they spell the text, by ``text_offset`` where that fits it.
    Raises DataError where neither does: a character lies in several tokens, and none says where.
    """
    context, whole = text_of(request.context), text_of((*request.context, *request.continuation))
    tokens = [str(token) for token in (found.get("tokens") or [])][:count]
    join = len(context.encode())
    for begun in (0, 1):  # a begin token has a name that the text has not
        pieces = [b""] * begun + [_bytes(token) for token in tokens[begun:]]
        if len(tokens) == count and b"".join(pieces) == whole.encode():
            return _first([0, *accumulate(map(len, pieces))][:-1], join)
    offsets = (found.get("text_offset") or [])[:count]
    if len(offsets) == len(tokens) == count and _fits(offsets, tokens, whole):
        return _first(offsets, len(context))
    raise DataError(
        f"{who} does not say where its tokens begin in a text of several bytes a character",
        "use a server with /tokenize (vLLM, llama.cpp), whose token ids can be cut",
    )


def _first(starts: Sequence[int], join: int) -> tuple[int, bool]:
    """Return the first token that ends after ``join``; several may begin at one place."""
    for index, start in enumerate(starts):
        if start == join and index + 1 < len(starts) and starts[index + 1] == join:
            continue  # empty, such as a begin token
        if start >= join:
            spans = start > join
            return (index - 1, True) if spans and index else (index, False)
    return len(starts) - 1, True


def _fits(offsets: Sequence[int], tokens: Sequence[str], whole: str) -> bool:
    """Whether the tokens stand where they are said to, half characters aside."""
    if list(offsets) != sorted(offsets) or not offsets or offsets[-1] >= len(whole):
        return False
    last = tokens[-1]
    if "\N{REPLACEMENT CHARACTER}" not in last and offsets[-1] + len(last) != len(whole):
        return False
    return all(
        "\N{REPLACEMENT CHARACTER}" in token or whole.startswith(token, start)
        for start, token in list(zip(offsets, tokens, strict=True))[1:]
    )


def _bytes(token: str) -> bytes:
    """Return the bytes of a token; OpenAI's form for half a character is ``bytes:\\xe2\\x80``."""
    if token.startswith("bytes:\\x"):
        return bytes(int(pair, 16) for pair in BYTES.findall(token))
    return token.encode("utf-8", "surrogatepass")
