"""DeepL with its official client, one attempt a call; the instruction is the context of its input.

Knows DeepL's limits, codes and errors, and nothing of asking again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from bactrian.errors import ConfigError, LanguageError, MissingExtra, ProviderError, did_you_mean
from bactrian.languages import Language
from bactrian.providers import Again, NoAnswer, Outcome, Request, Told, options, pairs
from bactrian.providers.calls import Call, Heard, Limits, Translated, translate
from bactrian.providers.http import Lane, Reply, refusal
from bactrian.providers.secrets import keys, planning
from bactrian.providers.threads import Threads, installed

KEY = "DEEPL_AUTH_KEY"
LIMITS = Limits(50, 60_000, lambda text: len(json.dumps(text)), "bytes")
"""50 texts; the body may take 128 KiB, and half of that is left to the context. The client writes
ASCII, so a letter of another script counts six bytes (developers.deepl.com, usage limits)."""
TARGETS = {"en": "EN-US", "pt": "PT-BR", "zh": "ZH-HANS"}
"""Where DeepL wants a variant; ``options.targets`` chooses another."""
FORMALITY = ("", "default", "more", "less", "prefer_more", "prefer_less")
MODELS = ("default", "quality_optimized", "prefer_quality_optimized", "latency_optimized")
QUOTA = 456


class DeepL:
    """Translations of DeepL's text API."""

    batch = 25

    def __init__(self, told: Told) -> None:
        section = told.section
        said = options.read(
            section,
            formality="",
            glossary="",
            context=True,
            preserve_formatting=True,
            targets={},
            batch_characters=10_000,
            unlisted=False,
        )
        model = options.model(section, "default")
        _one_of("options.formality", said["formality"], FORMALITY)
        _one_of("model", model, MODELS)
        if not planning() and not installed("deepl"):
            raise MissingExtra(
                "DeepL needs its official client, which is not installed",
                "pip install 'bactrian[deepl]'",
            )
        self.name = f"deepl:{model}"
        self.model = "" if model == "default" else model
        self.said = said
        self.unlisted: bool = said["unlisted"]
        self.targets = {**TARGETS, **said["targets"]}
        self.batch_characters: int = said["batch_characters"]
        self.price = told.price
        self.timeout = section.timeout
        self.threads = Threads(
            self._client,
            [
                Lane(base, key, {})
                for base in section.endpoints or ("",)
                for key in keys(section.keys, KEY)
            ],
            section.concurrency,
            (section.rpm, section.tpm),
        )

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return the texts, DeepL's codes, and what else changes the translation.

        The context is the first text where others come with it: an input of three words is
        understood by its instruction. DeepL does not translate or bill it.
        """
        pairs.check("deepl", source, target, unlisted=self.unlisted)
        request: Request = {
            "engine": self.name,
            "source": source.code.upper(),
            "target": self.targets.get(target.code, target.code.upper()),
            "preserve_formatting": self.said["preserve_formatting"],
            "texts": list(texts),
        }
        request |= {name: self.said[name] for name in ("formality", "glossary") if self.said[name]}
        sent = [text for text in texts if text.strip()]
        if self.said["context"] and len(sent) > 1:
            request["context"] = sent[0]
        return request

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once; requests without a context of their own share calls."""
        return await translate(requests, LIMITS, self.price, self._ask)

    async def close(self) -> None:
        """Close the connections."""
        await self.threads.close()

    async def _ask(self, call: Call) -> Heard:
        found = await self.threads.call(self._translating(call), sum(map(len, call.texts)))
        if isinstance(found, Reply):
            return understood(found, self.name) or Again("malformed", found.problem)
        return found

    def _translating(self, call: Call) -> Callable[[Any, Lane], Reply | Translated]:
        told = {
            "source_lang": call.settings["source"],
            "target_lang": call.settings["target"],
            "preserve_formatting": call.settings["preserve_formatting"],
            "context": call.settings.get("context"),
            "formality": call.settings.get("formality"),
            "glossary": call.settings.get("glossary"),
            "model_type": self.model or None,
        }

        def do(client: Any, lane: Lane) -> Reply | Translated:
            try:
                found = client.translate_text(list(call.texts), **told)
            except Exception as error:
                return heard(error, lane)
            return Translated([one.text for one in found], [one.billed_characters for one in found])

        return do

    def _client(self, lane: Lane) -> Any:
        import deepl

        # asking again is not the client's business: it would count nothing and tell nobody
        deepl.http_client.max_network_retries = 0
        deepl.http_client.min_connection_timeout = self.timeout
        return deepl.DeepLClient(lane.key.secret, server_url=lane.base or None)


def heard(error: Exception, lane: Lane) -> Reply:
    """Return an exception of the official client as the reply that it stands for.

    What is none of the client's comes from reading a reply of another shape: billed, and lost.
    """
    from deepl import ConnectionException, DeepLException

    if isinstance(error, ConnectionException):
        return Reply(0, {}, b"", lane, str(error)[:300])
    if isinstance(error, DeepLException):
        data = orjson.dumps({"message": str(error)})
        return Reply(error.http_status_code or 500, {}, data, lane)
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError):
        return Reply(200, {}, b"", lane, f"a reply that is no translation ({error!r:.80})")
    raise error


def understood(reply: Reply, who: str) -> Again | NoAnswer | None:
    """Return what a reply other than 200 means.

    Raises ProviderError where no request can succeed, LanguageError for a language it lacks.
    """
    said = reply.data.decode("utf-8", "replace")
    if reply.status == QUOTA:
        raise ProviderError(
            f"{who}: the quota of {reply.lane.key} is used up",
            "raise the limit in DeepL's account, name another key, or wait for the next month; "
            "what was paid for is in the ledger",
        )
    if reply.status == 400 and ("target_lang" in said or "source_lang" in said):
        raise LanguageError(
            f"{who} does not take the language: {orjson.loads(reply.data)['message']}",
            "leave the language out, or name another variant: [translate.options.targets]",
        )
    return refusal(reply, who)


def _one_of(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(
            f'{key} = "{value}" is none of DeepL\'s', did_you_mean(value, filter(None, known))
        )
