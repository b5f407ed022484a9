"""What a ledger holds: answers, charges without an answer, and their sums. Knows no SQL.

Named tuples, not dataclasses: each is the very row that SQLite takes and gives, and a million of
them are made an hour.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal, NamedTuple

import orjson

Kind = Literal["translation", "response"]


def key_of(request: dict[str, Any], sample: int = 0) -> str:
    """Return the blake2b-128 key (32 hex digits) of exactly what the provider sees.

    ``request`` is made canonical (sorted keys, UTF-8, no spaces); ``sample`` tells apart several
    answers to the same request.
    """
    canonical = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(b"%b\x00%d" % (canonical, sample), digest_size=16).hexdigest()


class Entry(NamedTuple):
    """One paid answer."""

    key: str
    kind: Kind
    provider: str
    output: str
    """The text; for translations a JSON list of strings, one for each text sent."""
    finish: str = "stop"
    """Why the provider stopped, in its own word: ``stop``, ``length``."""
    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    """Code points sent, what translators bill by."""
    cost_usd: float = 0.0
    provider_id: str = ""
    """The provider's own id of the request, for its support desk."""
    time: float = 0.0
    """Unix time of arrival."""
    attempts: int = 1


class Failure(NamedTuple):
    """No answer, and why."""

    key: str
    why: str
    attempts: int
    time: float


class Charge(NamedTuple):
    """Paid for, and no answer that is kept: cut short, refused, in another language, repeated."""

    key: str
    kind: Kind
    provider: str
    why: str
    """The reason for asking again, or ``repeated`` for a second answer under a key."""
    output: str = ""
    """What came, as evidence."""
    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    cost_usd: float = 0.0
    time: float = 0.0


class Total(NamedTuple):
    """Sums over one kind and provider."""

    kind: Kind
    provider: str
    answers: int
    charges: int
    """Paid for without an answer that is kept."""
    tokens_in: int
    tokens_out: int
    characters: int
    cost_usd: float


ENTRY = Entry._fields
CHARGE = Charge._fields
TOTAL = Total._fields
