"""Google Cloud Translation: with a key over v2, with a service account over v3's official client.

Both give the same translations (NMT), so they share their requests: what was paid for over one is
not paid for again over the other. Knows Google's limits and errors, and nothing of asking again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from bactrian.errors import ConfigError, LanguageError, MissingExtra, ProviderError
from bactrian.languages import Language
from bactrian.providers import Again, NoAnswer, Outcome, Request, Told, options, pairs
from bactrian.providers.calls import Call, Heard, Limits, Translated, translate
from bactrian.providers.http import Client, Lane, Reply, refusal, retry_after, said_in
from bactrian.providers.secrets import Key, keys, planning
from bactrian.providers.threads import Threads, installed

GOOGLE = "https://translation.googleapis.com"
KEY = "GOOGLE_API_KEY"
SCOPE = "https://www.googleapis.com/auth/cloud-translation"
RECOMMENDED, MOST = 5_000, 30_000
"""Code points a call (cloud.google.com/translate/quotas)."""
V2 = Limits(128, 90_000, lambda text: len(orjson.dumps(text)), "bytes")
"""The whole request may take 100,000 bytes."""
V3 = Limits(1024, MOST)
ENGINES = {"nmt": "nmt", "general/nmt": "nmt", "translation-llm": "translation-llm"}


class Google:
    """Translations of Google's NMT model, or over v3 of another one in its cloud."""

    batch = 64

    def __init__(self, told: Told) -> None:
        section = told.section
        said = options.read(
            section,
            api="",
            project="",
            location="global",
            glossary="",
            batch_characters=RECOMMENDED,
            unlisted=False,
        )
        named = options.model(section, "nmt")
        engine = ENGINES.get(named.removeprefix("general/"), named)
        api = said["api"] or ("v2" if section.keys or os.environ.get(KEY) else "v3")
        _check(api, engine, said)
        self.name = f"google:{engine}"
        self.batch_characters: int = said["batch_characters"]
        self.unlisted: bool = said["unlisted"]
        self.price = told.price
        self.limits = V2 if api == "v2" else V3
        self.way = Basic(told, self.name) if api == "v2" else Advanced(told, self.name, said)
        self.engine = {"engine": self.name, "format": "text"}
        if said["glossary"]:
            self.engine["glossary"] = f"{said['project']}/{said['location']}/{said['glossary']}"

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return the texts with Google's codes of the languages, as plain text."""
        pairs.check("google", source, target, unlisted=self.unlisted)
        pair = {"source": source.google, "target": target.google}
        return {**self.engine, **pair, "texts": list(texts)}

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once, in as few calls as the limits allow."""
        return await translate(requests, self.limits, self.price, self.way.ask)

    async def close(self) -> None:
        """Close the connections."""
        await self.way.close()


def _check(api: str, engine: str, said: dict[str, Any]) -> None:
    if api not in ("v2", "v3"):
        raise ConfigError(f'options.api = "{api}" is none of Google\'s', "write v2 or v3")
    if not 0 < said["batch_characters"] <= MOST:
        raise ConfigError(
            f"options.batch_characters = {said['batch_characters']} is not what Google takes",
            f"{RECOMMENDED} is recommended, {MOST} is the most",
        )
    if api == "v2" and (engine != "nmt" or said["glossary"]):
        what = f"the model {engine}" if engine != "nmt" else "a glossary"
        raise ConfigError(
            f"{what} needs Google's v3, and a key speaks to v2",
            'write options.api = "v3" and use a service account (docs/providers.md)',
        )
    if said["glossary"] and not said["project"]:
        raise ConfigError("a glossary needs its project", "write options.project")


class Basic:
    """v2 with a key, over plain HTTP."""

    def __init__(self, told: Told, name: str) -> None:
        section = told.section
        self.name = name
        self.client = Client(
            section.endpoints or (GOOGLE,),
            keys(section.keys, KEY, needed=not section.endpoints),
            _with_key,
            a_minute=(section.rpm, section.tpm),
            timeout=section.timeout,
        )

    async def ask(self, call: Call) -> Heard:
        """Translate the texts of one call."""
        body = {"q": call.texts, "format": "text"}
        body |= {side: call.settings[side] for side in ("source", "target")}
        units = sum(map(len, call.texts))
        reply = await self.client.post("/language/translate/v2", orjson.dumps(body), units)
        if (refused := understood(reply, self.name)) is not None:
            return refused
        try:
            found = orjson.loads(reply.data)["data"]["translations"]
            return Translated([str(one["translatedText"]) for one in found])
        except (ValueError, KeyError, TypeError) as error:
            return Again("malformed", f"a reply that is no translation ({error!r:.80})")

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


def _with_key(key: Key) -> dict[str, str]:
    """In a header, not in the address: addresses stand in logs and errors."""
    headers = {"content-type": "application/json", "accept-encoding": "gzip, deflate"}
    return {**headers, "x-goog-api-key": key.secret} if key.secret else headers


class Advanced:
    """v3 with the official client, its REST transport, a thread for each call."""

    def __init__(self, told: Told, name: str, said: dict[str, Any]) -> None:
        if not planning() and not installed("google.cloud.translate_v3"):
            raise MissingExtra(
                "Google's v3 needs its official client, which is not installed",
                f"pip install 'bactrian[google]', or set {KEY} for v2, which needs no client",
            )
        section = told.section
        self.name = name
        self.engine = name.removeprefix("google:")
        self.project, self.location = said["project"], said["location"]
        self.glossary = said["glossary"]
        self.timeout = section.timeout
        self.lanes = [
            Lane(base, Key("the service account", ""), {})
            for base in section.endpoints or (GOOGLE,)
        ]
        self.threads = Threads(
            self._client, self.lanes, section.concurrency, (section.rpm, section.tpm)
        )
        self._credentials: Any = None
        self._lock = threading.Lock()

    async def ask(self, call: Call) -> Heard:
        """Translate the texts of one call."""
        units = sum(map(len, call.texts))
        found = await self.threads.call(self._translating(call), units)
        if isinstance(found, Reply):
            refused = understood(found, self.name)
            return refused or Again("malformed", "a reply that is no translation")
        return Translated(found)

    async def close(self) -> None:
        """Close the connections."""
        await self.threads.close()

    def _translating(self, call: Call) -> Callable[[Any, Lane], Reply | list[str]]:
        def do(client: Any, lane: Lane) -> Reply | list[str]:
            request = self._body(call)
            try:
                told = client.translate_text(request=request, retry=None, timeout=self.timeout)
            except Exception as error:
                return heard(error, lane, self.name)
            found = told.glossary_translations if self.glossary else told.translations
            return [one.translated_text for one in found]

        return do

    def _body(self, call: Call) -> dict[str, Any]:
        parent = f"projects/{self.project}/locations/{self.location}"
        kind = "general/" if self.engine in ENGINES else ""
        whole = self.engine.startswith("projects/")
        body = {
            "parent": parent,
            "contents": list(call.texts),
            "mime_type": "text/plain",
            "source_language_code": call.settings["source"],
            "target_language_code": call.settings["target"],
            "model": self.engine if whole else f"{parent}/models/{kind}{self.engine}",
        }
        if self.glossary:
            body["glossary_config"] = {"glossary": f"{parent}/glossaries/{self.glossary}"}
        return body

    def _client(self, lane: Lane) -> Any:
        from google.api_core.client_options import ClientOptions
        from google.cloud.translate_v3 import TranslationServiceClient

        endpoint = lane.base.removeprefix("https://")
        return _Closing(
            TranslationServiceClient(
                credentials=self._credentials_for(lane),
                transport="rest",
                client_options=ClientOptions(api_endpoint=endpoint),
            )
        )

    def _credentials_for(self, lane: Lane) -> Any:
        """Return what the calls are signed with, and learn the project where none was named."""
        from google.auth.credentials import AnonymousCredentials

        with self._lock:
            if lane.base.startswith("http://"):  # a server of one's own: no token in clear text
                self.project = self.project or "local"
                return AnonymousCredentials()  # type: ignore[no-untyped-call]
            if self._credentials is None:
                self._credentials, found = _default_credentials()
                self.project = self.project or found
        if not self.project:
            raise ProviderError(
                "Google's v3 needs a project, and the credentials name none",
                'write project = "…" under [translate.options]',
            )
        return self._credentials


class _Closing:
    """The official client with a ``close``."""

    def __init__(self, client: Any) -> None:
        self.translate_text = client.translate_text
        self.close: Callable[[], None] = client.transport.close


def _default_credentials() -> tuple[Any, str]:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        found, project = google.auth.default(scopes=[SCOPE])
    except DefaultCredentialsError:
        raise ProviderError(
            "no credentials for Google's v3",
            "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file, run gcloud auth "
            f"application-default login, or set {KEY} for v2",
        ) from None
    return found, project or ""


def heard(error: Exception, lane: Lane, who: str) -> Reply:
    """Return an exception of the official client as the reply that it stands for.

    Raises ProviderError for credentials that do not work, and what is none of the client's.
    """
    from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from requests.exceptions import RequestException

    if isinstance(error, GoogleAPICallError):
        response = getattr(error, "response", None)
        data = getattr(response, "content", b"") or orjson.dumps({"message": error.message or ""})
        status = int(error.code) if error.code is not None else 500
        return Reply(status, getattr(response, "headers", None) or {}, data, lane)
    retryable = isinstance(error, TransportError) or getattr(error, "retryable", False)
    if isinstance(error, GoogleAuthError) and not retryable:
        raise ProviderError(
            f"{who}: the credentials do not work: {error}"[:300],
            "check the service account and what it may do; what was paid for is in the ledger",
        ) from None
    if isinstance(error, GoogleAuthError | RequestException | OSError):
        return Reply(0, {}, b"", lane, f"{type(error).__name__}: {error}"[:300])
    if isinstance(error, GoogleAPIError):
        return Reply(500, {}, orjson.dumps({"message": str(error)}), lane)
    if isinstance(error, ValueError) or type(error).__module__.startswith("google.protobuf"):
        return Reply(200, {}, b"", lane, str(error))
    raise error


def understood(reply: Reply, who: str) -> Again | NoAnswer | None:
    """Return what a reply other than 200 means; Google says most of its limits with a 403.

    Raises ProviderError where no request can succeed, LanguageError for a pair it does not take.
    """
    if reply.status in (400, 403, 429):
        said = said_in(reply.data)
        flat = reply.data.decode("utf-8", "replace").lower().replace(" ", "").replace("_", "")
        if "dailylimitexceeded" in flat or ("quota" in flat and "perday" in flat):
            raise ProviderError(
                f"{who}: the quota of the day is used up: {said}",
                "it begins anew at midnight, Pacific time: run the same command then, or raise it "
                "in Google's console; what was paid for is in the ledger",
                retryable=True,
            )
        if reply.status == 403 and "ratelimitexceeded" in flat:
            reply.lane.refused()
            return Again("limit", f"HTTP 403: {said}", retry_after(reply.headers))
        if reply.status == 400 and ("apikeynotvalid" in flat or "apikeyinvalid" in flat):
            raise ProviderError(
                f"{who} refuses the key {reply.lane.key}: {said}",
                "check the key and what it may do; what was paid for is in the ledger",
            )
        if reply.status == 400 and ("badlanguagepair" in flat or "languageisinvalid" in flat):
            raise LanguageError(f"{who} does not take the pair: {said}", "leave the language out")
    return refusal(reply, who)
