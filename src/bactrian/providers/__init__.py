"""Who answers: translators and chat models. Each is one class of two methods.

``request`` says what would be sent, as plain JSON: its hash is the key under which the answer is
kept. ``send`` makes one attempt. Asking again, waiting, money and the ledger are the business of
``fill``. Nothing here knows rows of a dataset, files, or other providers.

A provider may also have ``batch_characters`` (most code points that one ``send`` may carry) and
``async close()`` (called when the asking ends, in the loop that ``send`` ran in).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from bactrian.languages import Language
from bactrian.recipe import Provider as Section
from bactrian.schema import Instruction

Request = dict[str, Any]
Reason = Literal[
    "limit", "server", "network", "malformed", "empty", "length", "language", "refusal"
]
"""Why a request is asked again; each has its own cap (``retries`` in the recipe)."""


@dataclass(frozen=True, slots=True)
class Price:
    """What is billed, in USD per million; None where nobody has said."""

    input: float | None = None
    """Prompt tokens."""
    output: float | None = None
    """Completion tokens."""
    characters: float | None = None
    """Code points sent to a translator."""
    source: str = ""
    """Where the figures come from and their date, as it is printed beside every sum."""

    def of(self, tokens_in: float = 0, tokens_out: float = 0, characters: float = 0) -> float:
        """Return USD; what has no price costs nothing here, see ``known``."""
        usd = tokens_in * (self.input or 0.0) + tokens_out * (self.output or 0.0)
        return (usd + characters * (self.characters or 0.0)) / 1e6

    @property
    def known(self) -> bool:
        """Whether a sum can be said at all."""
        return self.characters is not None or None not in (self.input, self.output)


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider is made from."""

    section: Section
    """Its section of the recipe: model, endpoints, keys, limits, options."""
    folder: Path
    """Paths in the recipe are relative to this."""
    price: Price = Price()
    """From the recipe, else from the price list."""
    network: bool = False
    """Whether the Hub may be asked for weights."""


class Answer(NamedTuple):
    """What came back for one request."""

    output: str
    """The text; from a translator a JSON list with one string for each text sent."""
    finish: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    cost_usd: float = 0.0
    provider_id: str = ""
    attempts: int = 1
    """Attempts that the provider made by itself, beyond those that are counted here."""
    provider: str = ""
    """Who really answered, where that is not the provider that was asked (a recording)."""


class Again(NamedTuple):
    """An attempt without an answer that is worth another one."""

    why: Reason
    detail: str = ""
    """For the report, such as ``HTTP 503``; never with a key in it."""
    after: float | None = None
    """Seconds for which the provider told this request to wait."""
    billed: Answer | None = None
    """What was paid for nothing; where the provider did not say, as estimated."""


class NoAnswer(NamedTuple):
    """Why there is no answer to one request; the others of its batch are not touched."""

    why: str
    attempts: int = 1
    billed: Answer | None = None
    """What was paid for nothing: a refusal is billed like an answer."""


Outcome = Answer | Again | NoAnswer


def characters_of(request: Request) -> int:
    """Return the code points of text in a request."""
    texts = request.get("texts")
    if texts is None:
        texts = [message["content"] for message in request["messages"]]
    return sum(map(len, texts))


class Translator(Protocol):
    """Translates texts; made from ``Told``. It knows no rows.

    With ``whole = True`` the texts are sent as they stand: nothing is masked, no text is cut into
    pieces, and instruction and input come as two texts.
    """

    name: str
    """Provider and engine, as it is written into the provenance: ``google:nmt``."""
    batch: int
    """Requests that one ``send`` may carry."""

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return exactly what would be sent, the texts under ``texts``; no network, no cost.

        Raises LanguageError for a pair that it does not translate.
        """

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once, and return one outcome for each request, in order.

        Raises ProviderError where going on makes no sense (wrong key, no credit).
        """


class ChatModel(Protocol):
    """Answers instructions; made from ``Told``."""

    name: str
    """Provider and model, as it is written into the provenance: ``openai:gpt-4o-mini``."""
    batch: int
    """Requests that one ``send`` may carry."""

    def request(self, row: Instruction, language: Language) -> Request:
        """Return exactly what would be sent for an instruction: text in ``messages``."""

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask once, and return one outcome for each request, in order.

        Raises ProviderError where going on makes no sense (wrong key, no credit).
        """
