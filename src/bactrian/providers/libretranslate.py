"""LibreTranslate, a server of one's own: POST /translate, and GET /languages for what it has.

Knows its routes, codes and errors, and nothing of asking again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from bactrian.errors import ConfigError, ProviderError
from bactrian.languages import Language, get
from bactrian.providers import Again, NoAnswer, Outcome, Request, Told, options, pairs
from bactrian.providers.calls import Call, Heard, Limits, Once, Translated, translate
from bactrian.providers.chat import bearer
from bactrian.providers.http import Client, Reply, refusal, said_in
from bactrian.providers.secrets import Key, keys

LOCAL = "http://127.0.0.1:5000"
"""Where ``libretranslate`` listens when it is told nothing."""
KEY = "LIBRETRANSLATE_API_KEY"
CODES = {"zh": ("zh-Hans", "zh")}
"""Codes that changed with versions; the server's list says which it is."""
NO_KEY = ("to get an API key", "Invalid API key")
MISTRANSLATED = "Cannot translate text"

Pairs = Mapping[str, frozenset[str]]
"""Target codes by source code, as the server has them."""


class LibreTranslate:
    """Translations of a LibreTranslate server's models."""

    batch = 16

    def __init__(self, told: Told) -> None:
        section = told.section
        said = options.read(section, batch_texts=32, batch_characters=2_000, unlisted=False)
        self.name = f"libretranslate:{options.model(section, 'argos')}"
        self.unlisted: bool = said["unlisted"]
        self.batch_characters: int = said["batch_characters"]
        self.limits = Limits(said["batch_texts"], 1_000_000)
        self.price = told.price
        found = keys(section.keys, KEY, needed=False)
        if len(found) > 1:
            raise ConfigError("LibreTranslate takes one key", "name one of them in keys =")
        self.key = found[0]
        self.client = Client(
            section.endpoints or (LOCAL,),
            (Key(self.key.name, ""),),  # the key is part of the body, not a header
            bearer,
            a_minute=(section.rpm, section.tpm),
            timeout=section.timeout,
        )
        self.pairs = Once(self._pairs)

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return the texts, the pair, and the format; the server's models go by ``model``."""
        pairs.check("libretranslate", source, target, unlisted=self.unlisted)
        return {
            "engine": self.name,
            "source": source.code,
            "target": target.code,
            "format": "text",
            "texts": list(texts),
        }

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once, in as few calls as the limits allow."""
        return await translate(requests, self.limits, self.price, self._ask)

    async def close(self) -> None:
        """Close the connections."""
        self.pairs.forget()
        await self.client.close()

    async def _ask(self, call: Call) -> Heard:
        known = await self.pairs()
        if isinstance(known, Again | NoAnswer):
            return known
        source, target = get(call.settings["source"]), get(call.settings["target"])
        body = {"q": call.texts, "format": "text", **self._coded(known, source, target)}
        if self.key.secret:
            body["api_key"] = self.key.secret
        units = sum(map(len, call.texts))
        reply = await self.client.post("/translate", orjson.dumps(body), units)
        if (refused := understood(reply, self.name, self.key)) is not None:
            return refused
        try:
            return Translated([str(text) for text in _list(reply.data, "translatedText")])
        except (ValueError, KeyError, TypeError) as error:
            return Again("malformed", f"a reply that is no translation ({error!r:.80})")

    def _coded(self, known: Pairs, source: Language, target: Language) -> dict[str, str]:
        """Return the pair in the server's codes; raises LanguageError for one it has not."""
        for start in CODES.get(source.code, (source.code,)):
            for end in CODES.get(target.code, (target.code,)):
                if end in known.get(start, ()):
                    return {"source": start, "target": end}
        raise pairs.refused("libretranslate", source, target, "the server has no model for it")

    async def _pairs(self) -> Pairs | Again | NoAnswer:
        reply = await self.client.request("GET", self.client.lanes[0], "/languages")
        if (refused := understood(reply, self.name, self.key)) is not None:
            return refused
        try:
            told = orjson.loads(reply.data)
            return {one["code"]: frozenset(one["targets"]) for one in told}
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(
                f"{self.client.lanes[0].base} is no LibreTranslate ({error!r:.80})",
                "check endpoints = in the recipe",
            ) from None


def _list(data: bytes, key: str) -> list[str]:
    found = orjson.loads(data)[key]
    if not isinstance(found, list):
        raise TypeError(f"{key} is no list")
    return found


def understood(reply: Reply, who: str, key: Key) -> Again | NoAnswer | None:
    """Return what a reply other than 200 means.

    Raises ProviderError where no request can succeed: a missing key, a banned address.
    """
    said = said_in(reply.data)
    if reply.status in (400, 403) and any(words in said for words in NO_KEY):
        problem = f"refuses the key {key}" if key.secret else "wants a key"
        raise ProviderError(f"{who} {problem}: {said}", f"set {key} (docs/providers.md)")
    if reply.status == 403:
        raise ProviderError(
            f"{who} turns us away: {said or 'HTTP 403'}",
            "the server bans who asks too fast: write rpm = in the recipe and try later",
            retryable=True,
        )
    if reply.status == 500 and said.startswith(MISTRANSLATED):
        return NoAnswer(said)  # the model's fault with a text of the call, the same every time
    return refusal(reply, who)
