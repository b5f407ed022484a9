"""Apertium over its web service APY: rule-based, free, near languages first; a call for each line.

Knows APY's routes, codes and marks, and nothing of asking again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import orjson

from bactrian.errors import BactrianError, ProviderError
from bactrian.languages import Language, get
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told, options, pairs
from bactrian.providers.calls import Once
from bactrian.providers.http import Client, refusal
from bactrian.providers.secrets import Key

LOCAL = "http://127.0.0.1:2737"
"""Where ``apertium-apy`` listens when it is told nothing."""
SOURCES = {"hr": ("hbs_HR", "hbs"), "fa": ("pes", "fas"), "zh": ("zho", "cmn")}
TARGETS = {"hr": ("hbs_HR", "hrv"), "fa": ("pes", "fas"), "zh": ("zho", "cmn")}
MACRO = {"arb": "ara", "azj": "aze", "lvs": "lav", "khk": "mon", "npi": "nep", "pbt": "pus"}
"""Apertium's code where it is not FLORES'; it also has ``swa``, ``sqi``, ``que``."""
MACRO |= {"swh": "swa", "als": "sqi", "quy": "que"}
LINE = re.compile(r"(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")
EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)
MARKS = tuple(re.compile(rf"(?<!\w){mark}(?=\w)") for mark in "@#")
"""What Apertium puts before a word that it could not translate, or not inflect."""
SPACES = re.compile(" {2,}")

Codes = frozenset[tuple[str, str]]


class Apertium:
    """Translations of an APY server's modes."""

    batch = 1

    def __init__(self, told: Told) -> None:
        section = told.section
        said = options.read(section, unlisted=False)
        self.name = f"apertium:{options.model(section, 'apy')}"
        self.unlisted: bool = said["unlisted"]
        self.price = told.price
        self.client = Client(
            section.endpoints or (LOCAL,),
            (Key("no key", ""),),
            _form,
            a_minute=(section.rpm, section.tpm),
            timeout=section.timeout,
        )
        self.pairs = Once(self._pairs)

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return the texts and the pair; the server's version goes by ``model``."""
        pairs.check("apertium", source, target, unlisted=self.unlisted)
        return {
            "engine": self.name,
            "source": source.code,
            "target": target.code,
            "format": "txt",
            "texts": list(texts),
        }

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once for each line of each text, several at a time."""
        return await asyncio.gather(*map(self._translate, requests))

    async def close(self) -> None:
        """Close the connections."""
        self.pairs.forget()
        await self.client.close()

    async def _translate(self, request: Request) -> Outcome:
        known = await self.pairs()
        if isinstance(known, Again | NoAnswer):
            return known
        langpair = _coded(known, get(request["source"]), get(request["target"]))
        found = await asyncio.gather(
            *(self._text(text, langpair) for text in request["texts"]), return_exceptions=True
        )
        for one in found:
            if isinstance(one, BaseException):
                raise one
        if failed := [one for one in found if isinstance(one, Again | NoAnswer)]:
            return failed[0]
        characters = sum(len(text) for text in request["texts"] if text.strip())
        cost = self.price.of(characters=characters)
        return Answer(orjson.dumps(found).decode(), characters=characters, cost_usd=cost)

    async def _text(self, text: str, langpair: str) -> str | Again | NoAnswer:
        """Translate a text line by line: Apertium moves words over a line's end, lists included."""
        parts = LINE.split(text)
        lines = await asyncio.gather(*(self._line(line, langpair) for line in parts[::2]))
        found = []
        for line, end in zip(lines, [*parts[1::2], ""], strict=True):
            if isinstance(line, Again | NoAnswer):
                return line
            found += [line, end]
        return "".join(found)

    async def _line(self, line: str, langpair: str) -> str | Again | NoAnswer:
        edges = EDGES.fullmatch(line)
        assert edges is not None
        before, core, after = edges.groups()
        if not core:
            return line
        # without a format APY takes the text for HTML, and reads < and & as such
        asked = {"langpair": langpair, "markUnknown": "no", "format": "txt", "q": core}
        reply = await self.client.post("/translate", urlencode(asked).encode(), len(core))
        try:
            if (refused := refusal(reply, self.name)) is not None:
                return refused
            told = orjson.loads(reply.data)
            found = told["responseData"]["translatedText"]
            if not isinstance(found, str):
                raise TypeError("translatedText is no text")
        except (ValueError, KeyError, TypeError) as error:
            return Again("malformed", f"a reply that is no translation ({error!r:.80})")
        if not found.strip():
            return Again("empty", "an empty translation")
        return before + unmarked(core, found.strip()) + after

    async def _pairs(self) -> Codes | Again | NoAnswer:
        reply = await self.client.request("GET", self.client.lanes[0], "/listPairs")
        if (refused := refusal(reply, self.name)) is not None:
            return refused
        try:
            told = orjson.loads(reply.data)["responseData"]
            return frozenset((one["sourceLanguage"], one["targetLanguage"]) for one in told)
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(
                f"{self.client.lanes[0].base} is no Apertium APY ({error!r:.80})",
                "check endpoints = in the recipe",
            ) from None


def unmarked(source: str, found: str) -> str:
    """Return a translation without Apertium's marks of doubt (``#acceso``) and doubled spaces.

    Where the source has such a sign before a word itself, both stay: nothing tells them apart.
    """
    for mark in MARKS:
        if not mark.search(source):
            found = mark.sub("", found)
    # a word that vanishes leaves its space behind
    return found if SPACES.search(source) else SPACES.sub(" ", found)


def _form(key: Key) -> Mapping[str, str]:
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    return {"content-type": kind, "accept-encoding": "gzip, deflate"}


def _coded(known: Codes, source: Language, target: Language) -> str:
    """Return the pair in the server's codes; raises LanguageError for one it has not."""
    for start in (*SOURCES.get(source.code, ()), *_usual(source)):
        for end in (*TARGETS.get(target.code, ()), *_usual(target)):
            if (start, end) in known:
                return f"{start}|{end}"
    error: BactrianError = pairs.refused(
        "apertium", source, target, "the server has no mode for it"
    )
    raise error


def _usual(language: Language) -> tuple[str, ...]:
    code = language.flores200.partition("_")[0]
    return (MACRO.get(code, code), code, language.code)
