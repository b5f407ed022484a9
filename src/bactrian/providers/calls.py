"""Packs the texts of many requests into few calls, and sorts what comes back to its requests.

Knows no service and no HTTP. A text of nothing but white space is not sent and comes back as it is.
Where a call is refused for what is in it, one of its requests is to blame: each is asked for alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from bactrian.errors import BactrianError
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call takes."""

    texts: int
    size: int
    """Most that its texts may measure together."""
    measure: Callable[[str], int] = len
    """What a text counts: code points, or bytes of JSON."""
    unit: str = "characters"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Texts that go out together."""

    settings: Request
    """What their requests have in common: everything but the texts."""
    places: tuple[tuple[int, int], ...]
    """Where each text belongs: the number of its request, and its place there."""
    texts: tuple[str, ...]

    @property
    def owners(self) -> list[int]:
        """The numbers of its requests, in order."""
        return sorted({request for request, _ in self.places})

    def apart(self) -> Iterator[Call]:
        """Yield a call for each of its requests."""
        for owner in self.owners:
            mine = [number for number, place in enumerate(self.places) if place[0] == owner]
            places = tuple(self.places[number] for number in mine)
            yield Call(self.settings, places, tuple(self.texts[number] for number in mine))


@dataclass(frozen=True, slots=True)
class Translated:
    """What came back for a call, one text for each that was sent."""

    texts: Sequence[str]
    characters: Sequence[int] = ()
    """Code points that are billed, by text; where the service does not say, those of the text."""


Heard = Translated | Again | NoAnswer
Ask = Callable[[Call], Awaitable[Heard]]
Told = TypeVar("Told")
Part = tuple[str, int]
"""A translation and the characters that it cost."""


async def translate(
    requests: Sequence[Request], limits: Limits, price: Price, ask: Ask
) -> list[Outcome]:
    """Ask for the texts of requests in as few calls as the limits allow; one outcome for each.

    Raises what every call raises. Where some were answered, and so paid for, those that raised
    come back to be asked again: the error shows then, with nothing on the table.
    """
    sorting = _Sorting(requests, price)
    refused = await _all(list(_packed(requests, limits, sorting)), ask, sorting)
    for call in refused:
        if len(call.owners) == 1:
            sorting.take(call, refused[call])
    single = [part for call in refused if len(call.owners) > 1 for part in call.apart()]
    for call, heard in (await _all(single, ask, sorting)).items():
        sorting.take(call, heard)
    return [sorting.outcome(number) for number in range(len(requests))]


async def _all(calls: Sequence[Call], ask: Ask, sorting: _Sorting) -> dict[Call, NoAnswer]:
    """Ask, keep what came back, and return the calls that were refused as a whole."""
    found = await asyncio.gather(*map(ask, calls), return_exceptions=True)
    refused: dict[Call, NoAnswer] = {}
    raised: dict[Call, BactrianError] = {}
    for call, heard in zip(calls, found, strict=True):
        if isinstance(heard, BactrianError):
            raised[call] = heard
        elif isinstance(heard, BaseException):
            raise heard
        elif isinstance(heard, NoAnswer):
            refused[call] = heard
        else:
            sorting.take(call, heard)
    for call, error in raised.items():
        if not sorting.parts:
            raise error
        sorting.take(call, Again("server", error.problem, 0.0))
    return refused


class _Sorting:
    """The parts of the answers, by request and place."""

    def __init__(self, requests: Sequence[Request], price: Price) -> None:
        self.requests = requests
        self.price = price
        self.parts: dict[tuple[int, int], Part] = {}
        self.failed: dict[int, Again | NoAnswer] = {}

    def take(self, call: Call, heard: Heard) -> None:
        """Keep what was heard of a call."""
        if isinstance(heard, Translated):
            if len(heard.texts) == len(call.texts):
                self._keep(call, heard)
                return
            heard = Again(
                "malformed", f"{len(call.texts)} texts sent, {len(heard.texts)} came back"
            )
        if isinstance(heard, Again) and heard.why == "malformed":
            # translated and billed, though nobody can read it
            self._keep(call, Translated([""] * len(call.texts)), count=False)
        for owner in call.owners:
            self.failed.setdefault(owner, heard)

    def _keep(self, call: Call, heard: Translated, *, count: bool = True) -> None:
        billed = heard.characters or [len(text) for text in call.texts]
        for place, text, characters in zip(call.places, heard.texts, billed, strict=True):
            self.parts[place] = (text, characters)
            if count and not text.strip():
                self.failed.setdefault(place[0], Again("empty", "an empty translation"))

    def outcome(self, number: int) -> Outcome:
        """Return the answer to a request, or why there is none and what it cost all the same."""
        texts = self.requests[number]["texts"]
        parts = [self.parts.get((number, place)) for place in range(len(texts))]
        characters = sum(part[1] for part in parts if part is not None)
        cost = self.price.of(characters=characters)
        failed = self.failed.get(number)
        if failed is None:
            found = [part[0] if part else text for part, text in zip(parts, texts, strict=True)]
            output = orjson.dumps(found).decode()
            return Answer(output, characters=characters, cost_usd=cost)
        if isinstance(failed, Again) and characters:
            lost = Answer("", "lost", characters=characters, cost_usd=cost)
            return Again(failed.why, failed.detail, failed.after, lost)
        return failed


def _packed(requests: Sequence[Request], limits: Limits, sorting: _Sorting) -> Iterator[Call]:
    """Yield calls within the limits; a request stays together where it fits into one."""
    groups: dict[bytes, list[int]] = {}
    for number, request in enumerate(requests):
        settings = {key: value for key, value in request.items() if key != "texts"}
        groups.setdefault(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS), []).append(number)
    for settings_json, members in groups.items():
        packing = _Packing(orjson.loads(settings_json), limits)
        for number in members:
            yield from packing.add(number, requests[number]["texts"], sorting)
        yield from packing.rest()


class _Packing:
    """One call as it fills."""

    def __init__(self, settings: Request, limits: Limits) -> None:
        self.settings = settings
        self.limits = limits
        self.held: list[tuple[int, int, str]] = []
        self.size = 0

    def add(self, number: int, texts: Sequence[str], sorting: _Sorting) -> Iterator[Call]:
        """Put in a request's texts; yield the calls that are full."""
        limits = self.limits
        sent = [(place, text) for place, text in enumerate(texts) if text.strip()]
        sizes = [limits.measure(text) for _, text in sent]
        if sent and max(sizes) > limits.size:
            why = f"a text of {max(sizes)} {limits.unit}; one call takes {limits.size}"
            sorting.failed[number] = NoAnswer(why)
            return
        if not self._fits(len(sent), sum(sizes)):
            yield from self.rest()
        for (place, text), size in zip(sent, sizes, strict=True):
            if not self._fits(1, size):
                yield from self.rest()
            self.held.append((number, place, text))
            self.size += size

    def rest(self) -> Iterator[Call]:
        """Yield what is held, and begin anew."""
        if self.held:
            places = tuple((number, place) for number, place, _ in self.held)
            yield Call(self.settings, places, tuple(text for *_, text in self.held))
        self.held, self.size = [], 0

    def _fits(self, texts: int, size: int) -> bool:
        limits = self.limits
        return len(self.held) + texts <= limits.texts and self.size + size <= limits.size


class Once(Generic[Told]):
    """A question to the server that is asked once, whoever needs the answer first."""

    def __init__(self, ask: Callable[[], Awaitable[Told | Again | NoAnswer]]) -> None:
        self._ask = ask
        self._asked: asyncio.Future[Told | Again | NoAnswer] | None = None

    async def __call__(self) -> Told | Again | NoAnswer:
        """Return the answer, or why there is none; then the next caller asks anew."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        asked = self._asked
        try:
            told = await asyncio.shield(asked)
        except BaseException:
            self.forget()
            raise
        if isinstance(told, Again | NoAnswer) and self._asked is asked:
            self.forget()
        return told

    def forget(self) -> None:
        """Ask again next time: another run, another loop."""
        self._asked = None
