"""A translator and a chat model that answer by rule, and note what they are asked. Not a test.

In this process: ``load(monkeypatch)`` registers them as ``fake``. In another one, with
``FAKE_SECONDS`` between a request and its answer, each told on stdout as it is sent::

    python fake_providers.py build FOLDER
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import sys
from collections.abc import Sequence
from typing import Any

import orjson

from bactrian import registry
from bactrian.errors import LanguageError, ProviderError
from bactrian.ledger import key_of
from bactrian.providers import Answer, NoAnswer, Outcome, Request, Told, characters_of

SIGN = re.compile(r"\[X\d+X\]")


class Script:
    """What the providers do and have done; one for the process."""

    def __init__(self) -> None:
        self.seconds = float(os.environ.get("FAKE_SECONDS", "0"))
        self.loud = "FAKE_SECONDS" in os.environ
        self.sent: list[Request] = []
        self.silent: tuple[str, ...] = ()
        """Words; a request that holds one of them gets no answer."""
        self.most = 10**9
        """Requests after which the provider gives up."""
        self.mean_tokens, self.sigma = 100.0, 0.0
        """Of the log-normal lengths of answers."""
        self.speaks: frozenset[str] | None = None
        """Languages that the translator takes; None takes all."""

    async def take(self, request: Request) -> NoAnswer | None:
        """Note a request; return why there is no answer to it."""
        if len(self.sent) >= self.most:
            raise ProviderError("no credit is left", "top it up")
        self.sent.append(request)
        if self.loud:
            print(f"sent {key_of(request)}", flush=True)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        text = orjson.dumps(request).decode()
        return NoAnswer("refused by the script") if any(map(text.count, self.silent)) else None

    def clear(self) -> list[Request]:
        """Return what was sent so far, and forget it."""
        sent, self.sent = self.sent, []
        return sent


SCRIPT = Script()


class Translator:
    """Writes capitals; drops the signs of texts about what is fragile. Bills characters."""

    batch = 4

    def __init__(self, told: Told) -> None:
        self.name = f"fake:{told.section.model or 'm'}"
        self.price = told.price

    def request(self, texts: Sequence[str], source: Any, target: Any) -> Request:
        if SCRIPT.speaks is not None and target.code not in SCRIPT.speaks:
            raise LanguageError(f"fake does not translate into {target.name}", "name another one")
        return {"engine": self.name, "target": target.code, "texts": list(texts)}

    async def send(self, requests: Sequence[Request]) -> list[Outcome]:
        return list(await asyncio.gather(*map(self.one, requests)))

    async def one(self, request: Request) -> Outcome:
        if (none := await SCRIPT.take(request)) is not None:
            return none
        said = [SIGN.sub("", text) if "fragile" in text else text for text in request["texts"]]
        characters = characters_of(request)
        return Answer(
            orjson.dumps([text.upper() for text in said]).decode(),
            characters=characters,
            cost_usd=self.price.of(characters=characters),
        )


class Chat:
    """Answers with a number, of a length that follows from the request. Bills tokens."""

    batch = 4

    def __init__(self, told: Told) -> None:
        self.name = f"fake:{told.section.model or 'm'}"
        self.price = told.price
        self.most = told.section.max_tokens  # type: ignore[attr-defined]

    def request(self, row: Any, language: Any) -> Request:
        content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        messages = [{"role": "user", "content": content}]
        return {"model": self.name, "target": language.code, "messages": messages}

    async def send(self, requests: Sequence[Request]) -> list[Outcome]:
        return list(await asyncio.gather(*map(self.one, requests)))

    async def one(self, request: Request) -> Outcome:
        if (none := await SCRIPT.take(request)) is not None:
            return none
        chance = random.Random(key_of(request))
        usual = math.log(SCRIPT.mean_tokens) - SCRIPT.sigma**2 / 2
        tokens_out = min(self.most, max(1, round(chance.lognormvariate(usual, SCRIPT.sigma))))
        tokens_in = max(1, characters_of(request) // 4)
        cost = self.price.of(tokens_in, tokens_out)
        text = str(chance.randrange(10**9))
        return Answer(text, tokens_in=tokens_in, tokens_out=tokens_out, cost_usd=cost)


def register(into: dict[str, dict[str, str]]) -> None:
    """Make both known as ``fake``."""
    sys.modules["fake_providers"] = sys.modules[__name__]
    into["translators"]["fake"] = "fake_providers:Translator"
    into["chats"]["fake"] = "fake_providers:Chat"


if __name__ == "__main__":
    from bactrian.cli import main

    register(registry.BUILT_IN)
    main(sys.argv[1:])
