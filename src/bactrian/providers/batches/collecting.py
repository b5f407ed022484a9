"""Takes in the results of a batch that has ended, in any order, each once.

Knows lines and keys; what an answer is worth is the business of ``settling``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

import orjson

from bactrian.errors import ProviderError
from bactrian.events import emit
from bactrian.ledger import Ledger
from bactrian.ledger.batches import Batch, Batches, Queued
from bactrian.providers import Again, Answer, NoAnswer, Outcome
from bactrian.providers.batches import CANCELLED, Dialect, Look
from bactrian.providers.batches.settling import Settling

GROUP = 256
"""Results that are committed at once."""
KEY = re.compile(r"[0-9a-f]{32}\Z")
LOST = "the provider no longer keeps the results of the batch"


class Collecting:
    """The results of one job."""

    def __init__(
        self, ledger: Ledger, batches: Batches, dialect: Dialect, settling: Settling
    ) -> None:
        self.ledger = ledger
        self.batches = batches
        self.dialect = dialect
        self.settling = settling
        self.unknown = self.unread = 0
        self._hopeless: ProviderError | None = None

    async def collect(self, batch: Batch, look: Look) -> None:
        """Fetch the results, settle every request of the batch, and close it."""
        if batch.state != "ended":
            batch = self.batches.move(batch, "ended")
        when = look.ended or batch.time
        lost = look.state == "gone"
        with TemporaryFile(dir=self.ledger.path.parent) as file:
            for path in look.results:
                if not await self.dialect.fetch(path, file):
                    lost = True
                    continue
                while lines := list(islice(file, GROUP)):
                    self._take(batch, lines, when)
                    await asyncio.sleep(0)  # Ctrl-C is heard
        self._without(batch, NoAnswer(LOST) if lost else _why_none(look), when)
        self.batches.shut(batch, look.how)
        self._report(batch, look)

    def blame(self, batch: Batch, look: Look) -> int:
        """Give up the requests for whose sake a batch was refused; return how many they are.

        A refusal of the whole blames none. Their money is given back with the batch's.
        """
        lines = {told.line: told.message for told in look.refused if told.line}
        if len(lines) < len(look.refused):
            return 0
        blamed = [
            (row, lines[number])
            for number, row in enumerate(self.batches.of(batch.name), start=1)
            if number in lines
        ]
        for row, why in blamed:
            self.settling.take(row, NoAnswer(why), 0.0, batch.time)
        self.settling.flush(self.batches)
        return len(blamed)

    def end_if_hopeless(self) -> None:
        """Raise what a result said that makes going on senseless, now that all are taken in."""
        if self._hopeless is not None:
            raise self._hopeless

    def _take(self, batch: Batch, lines: Iterable[bytes], when: float) -> None:
        results = list(self._results(lines))
        rows = self.batches.some([key for key, _ in results]) if results else {}
        for key, told in results:
            row = rows.get(key)
            if row is None:
                self._keep_unknown(key, told, when)
            elif row.batch != batch.name or not row.request:
                self._keep_repeated(key, told, when)
            else:
                outcome = self._outcome(told, orjson.loads(row.request))
                self.settling.take(row, outcome, batch.reserved / batch.requests, when)
                rows[key] = row._replace(request="")
        self.settling.flush(self.batches)

    def _results(self, lines: Iterable[bytes]) -> Iterable[tuple[str, dict[str, Any]]]:
        for line in lines:
            if not line.strip():
                continue
            try:
                told = orjson.loads(line)
                yield str(told["custom_id"]), told
            except (orjson.JSONDecodeError, KeyError, TypeError):
                self.unread += 1

    def _outcome(self, told: dict[str, Any], request: dict[str, Any]) -> Outcome:
        try:
            return self.dialect.outcome(told, request)
        except ProviderError as error:  # the others of the batch are paid for: they come first
            self._hopeless = self._hopeless or error
            return Again("server", error.problem)

    def _keep_unknown(self, key: str, told: dict[str, Any], when: float) -> None:
        """Keep an answer to what this ledger never asked: it came with our batch and is paid."""
        self.unknown += 1
        outcome = self._outcome(told, {"messages": []})
        if not isinstance(outcome, Answer):
            return
        self.settling.pay(0.0, outcome.cost_usd)
        if KEY.match(key):
            self.settling.enter(key, outcome, 1, when)
        else:
            self.settling.charge(key, "unknown", outcome, when)

    def _keep_repeated(self, key: str, told: dict[str, Any], when: float) -> None:
        """Count a second answer to one request; the very same line again is nothing new."""
        outcome = self._outcome(told, {"messages": []})
        first = self.settling.kept.get(key)
        if first is None and (entry := self.ledger.get(key)) is not None:
            first = entry.provider_id
        if isinstance(outcome, Answer) and first is not None and first != outcome.provider_id:
            self.settling.pay(0.0, outcome.cost_usd)
            self.settling.charge(key, "repeated", outcome, when)

    def _without(self, batch: Batch, outcome: Outcome, when: float) -> None:
        """Settle the requests of a batch that no result came for."""
        share = batch.reserved / batch.requests
        while rows := list[Queued](islice(self.batches.of(batch.name), GROUP)):
            for row in rows:
                self.settling.take(row, outcome, share, when)
            self.settling.flush(self.batches)

    def _report(self, batch: Batch, look: Look) -> None:
        where = f"{batch.name} ({batch.remote})"
        if look.how in ("cancelled", "expired") or look.state == "gone":
            emit(
                "warning",
                text=f"{where}: {look.how}; {look.completed} of {batch.requests} requests were "
                "answered",
            )
        else:
            emit("note", text=f"{where}: {look.completed} of {batch.requests} requests answered")
        if self.unknown or self.unread:
            emit(
                "warning",
                text=f"{where}: {self.unknown} results of requests that are not in the batch (kept "
                f"all the same), {self.unread} lines that are no results",
            )
        self.unknown = self.unread = 0


def _why_none(look: Look) -> Outcome:
    if look.how == "cancelled":
        return NoAnswer(CANCELLED)
    return Again("server", f"no result came ({look.how})")
