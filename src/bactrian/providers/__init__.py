"""Who answers: translators and chat models. A provider is one class of two methods.

``request`` says what would be sent, as plain JSON: its hash is the key under which the answer is
kept. ``send`` sends it. Nothing here knows rows of a dataset, files, or other providers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bactrian.languages import Language
from bactrian.schema import Instruction

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
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
    provider: str = ""
    """Who really answered, where that is not the provider that was asked (a recording)."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there is no answer to one request; the others of its batch are not touched."""

    why: str
    attempts: int = 1


class Provider(Protocol):
    """What translators and chat models have in common."""

    name: str
    """Provider and model, as it is written into the provenance: ``google:nmt``."""
    batch: int
    """Requests that one ``send`` may carry."""

    def request(self, row: Instruction, language: Language) -> Request:
        """Return exactly what would be sent for a row; no network, no cost.

        The text stands under ``texts`` (a list), or in the ``content`` of ``messages``.
        """

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
        """Ask, and return one answer (or the reason for none) for each request, in order.

        Raises ProviderError where going on makes no sense (wrong key, no credit).
        """
