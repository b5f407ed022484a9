"""Makes batches of what waits: as long as the provider, its queue and the money allow.

A batch is in the ledger before its file is uploaded, and its mark before it is made.
"""

from __future__ import annotations

import secrets
import time
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import orjson

from bactrian.errors import ProviderError
from bactrian.events import emit
from bactrian.ledger import Kind
from bactrian.ledger.batches import Batch, Batches
from bactrian.providers import Again
from bactrian.providers.batches import Dialect, Options
from bactrian.providers.batches.room import Room
from bactrian.providers.chat import BYTES_A_TOKEN
from bactrian.providers.terms import Terms


class _Cut(NamedTuple):
    """How far the next batch goes."""

    last: int
    requests: int
    tokens: float
    usd: float


class Sending:
    """The batches of one job on their way out."""

    def __init__(self, batches: Batches, dialect: Dialect, room: Room, options: Options) -> None:
        self.batches = batches
        self.dialect = dialect
        self.room = room
        self.options = options
        self.creating = False
        """A batch is being made: whoever leaves now will have to look for it."""
        self.short = False
        """The budget does not allow the next request."""
        self._told: set[str] = set()

    async def send(self, kind: Kind, terms: Terms) -> bool:
        """Send one batch; False where none is to be sent now."""
        if not self.room.open or (cut := self._cut(terms)) is None:
            return False
        name = f"{self.batches.path.stem}-{secrets.token_hex(8)}"
        who, counts = self.dialect.name, (cut.requests, cut.tokens, cut.usd)
        batch = Batch(name, kind, who, "submitting", "", "", *counts, time.time())
        self.batches.form(batch, cut.last)
        self.room.enter(name, cut.tokens)
        try:
            with TemporaryFile(dir=self.batches.path.parent) as file:
                self._write(batch, file)
                mark = await self.dialect.prepare(name, file)
                batch = self.batches.move(batch, "sending", mark=mark)
                self.creating = True
                made = await self.dialect.create(batch, file)
            return self._made(batch, made, terms)
        except ProviderError:  # nothing was made
            if batch in self.batches.open():
                self.undo(batch, terms)
            raise
        finally:
            self.creating = False

    def undo(self, batch: Batch, terms: Terms, how: str = "unsent") -> None:
        """Take a batch back that the provider does not work on."""
        self.batches.shut(batch, how)
        self.room.leave(batch.name, batch.tokens)
        terms.budget.settle(batch.reserved, 0.0)

    def say_once(self, about: str, text: str) -> None:
        """Warn, once a matter."""
        if about not in self._told:
            self._told.add(about)
            emit("warning", text=text)

    def _made(self, batch: Batch, made: str | Again, terms: Terms) -> bool:
        if isinstance(made, str):
            self.batches.move(batch, "sent", remote=made)
            emit("note", text=f"{batch.name}: sent as {made}, requests: {batch.requests}")
            return True
        if made.why == "limit":
            self.undo(batch, terms)
            self.say_once("limit", f"{self.dialect.name} takes no batch now: {made.detail}")
            if not self.room.taken:
                self.room.refused(self.dialect.name, batch.tokens, made.detail)
            return False
        self.say_once(
            batch.name,
            f"{batch.name} may or may not have been made ({made.detail}): it is looked for before "
            "anything of it is sent again",
        )
        return False

    def _cut(self, terms: Terms) -> _Cut | None:
        """Return the longest batch that may be sent now, with its money set aside."""
        most, between = self.dialect.most, len(self.dialect.framing.between)
        requests = min(most.requests, self.options.requests or most.requests)
        cut = _Cut(0, 0, 0.0, 0.0)
        size = sum(map(len, self.dialect.framing))
        self.short = False
        for row in self.batches.queued():
            size += len(self.dialect.line(row.key, row.request)) + between
            tokens = cut.tokens + len(row.request.encode()) / BYTES_A_TOKEN
            # alone in the queue, one request is tried whatever the estimate says
            tight = tokens > self.room.free and (cut.requests or self.room.taken)
            if cut.requests == requests or size > most.bytes or tight:
                break
            usd = terms.reserve.of(orjson.loads(row.request)) if terms.reserve else 0.0
            if not terms.budget.reserve(usd):
                self.short = not cut.requests
                break
            cut = _Cut(row.number, cut.requests + 1, tokens, cut.usd + usd)
        if size > most.bytes and not cut.requests:
            raise ProviderError(
                f"one request is larger than a batch of {self.dialect.name} may be ({size} bytes)",
                "shorten the row, or ask without batches",
            )
        return cut if cut.requests else None

    def _write(self, batch: Batch, file: IO[bytes]) -> None:
        before, between, after = self.dialect.framing
        file.write(before)
        for number, row in enumerate(self.batches.of(batch.name)):
            file.write((between if number else b"") + self.dialect.line(row.key, row.request))
        file.write(after)
        file.flush()
