"""What becomes of the results of a batch: kept, asked again, or given up, and what each cost.

The same rules as for direct replies (``filling``), written to the ledger a group at a time.
"""

from __future__ import annotations

from typing import Any, get_args

import orjson

from bactrian.events import emit
from bactrian.ledger import Charge, Entry, Kind
from bactrian.ledger.batches import Batches, Queued
from bactrian.ledger.entries import Failure
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Reason
from bactrian.providers.doubts import Doubts
from bactrian.providers.progress import Progress
from bactrian.providers.retries import KEPT
from bactrian.providers.terms import Terms


class Settling:
    """The results of one job."""

    def __init__(self, who: str, kind: Kind, terms: Terms, progress: Progress) -> None:
        self.who = who
        self.kind: Kind = kind
        self.terms = terms
        self.progress = progress
        self.doubts = Doubts()
        self.moot = {reason for reason in get_args(Reason) if not terms.caps.get(reason)}
        self.kept: dict[str, str] = {}
        """The provider's ids of the answers in this group, by key."""
        self._writes: list[Entry | Charge | Failure] = []
        self._settled: list[str] = []
        self._again: list[tuple[str, int, str]] = []

    def take(self, row: Queued, outcome: Outcome, reserved: float, when: float) -> None:
        """Decide about one result; ``reserved`` USD were set aside for it, ``when`` it arrived."""
        billed = outcome if isinstance(outcome, Answer) else outcome.billed
        self.pay(reserved, billed.cost_usd if billed else 0.0)
        if isinstance(outcome, Answer):
            if self.terms.reserve is not None:
                self.terms.reserve.see(outcome)
            why = self._against(row, outcome)
            if why is None:
                self._keep(row, outcome, when)
            else:
                self.charge(row.key, why, outcome, when)
                self._ask_again(row, why)
            return
        if outcome.billed is not None:
            why = outcome.why if isinstance(outcome, Again) else "refusal"
            self.charge(row.key, why, outcome.billed, when)
        if isinstance(outcome, NoAnswer):
            self._fail(row, outcome.why, when)
        elif reasons(row).get(outcome.why, 0) < self.terms.caps[outcome.why]:
            self._ask_again(row, outcome.why)
        else:
            times = f"{row.attempts + 1} attempts" if row.attempts else "1 attempt"
            said = outcome.detail or outcome.why
            self._fail(row, f"{said} ({times}, the last: {outcome.why})", when)

    def pay(self, reserved: float, cost: float) -> None:
        """Replace what was set aside by what it cost."""
        self.terms.budget.settle(reserved, cost)
        self.progress.cost_usd += cost

    def charge(self, key: str, why: str, billed: Answer, when: float) -> None:
        """Write down what was paid for without an answer that is kept."""
        self.progress.charged += 1
        output = billed.output if why in KEPT or why in ("repeated", "unknown") else ""
        who = billed.provider or self.who
        counts = billed.tokens_in, billed.tokens_out, billed.characters, billed.cost_usd
        self._writes.append(Charge(key, self.kind, who, why, output, *counts, when))

    def enter(self, key: str, answer: Answer, attempts: int, when: float) -> None:
        """Write down an answer."""
        who = answer.provider or self.who
        counts = answer.tokens_in, answer.tokens_out, answer.characters, answer.cost_usd
        head = key, self.kind, who, answer.output, answer.finish
        self._writes.append(Entry(*head, *counts, answer.provider_id, when, attempts))
        self.kept[key] = answer.provider_id

    def flush(self, batches: Batches) -> None:
        """Commit the group."""
        batches.settle(self._writes, self._settled, self._again)
        self._writes, self._settled, self._again = [], [], []
        self.kept.clear()

    def _keep(self, row: Queued, answer: Answer, when: float) -> None:
        self.progress.answered += row.wanted
        self._settled.append(row.key)
        self.enter(row.key, answer, row.attempts + answer.attempts, when)

    def _fail(self, row: Queued, why: str, when: float) -> None:
        self.progress.failed += row.wanted
        self._settled.append(row.key)
        self._writes.append(Failure(row.key, why, row.attempts + 1, when))

    def _ask_again(self, row: Queued, why: Reason) -> None:
        again: dict[Any, int] = reasons(row)
        again[why] = again.get(why, 0) + 1
        self._again.append((row.key, row.attempts + 1, orjson.dumps(again).decode()))
        if row.wanted:
            self.progress.again[why] = self.progress.again.get(why, 0) + 1

    def _against(self, row: Queued, answer: Answer) -> Reason | None:
        """Return why an answer that has come is asked for again; None keeps it."""
        if self.terms.accept is None:
            return None
        why = self.terms.accept(orjson.loads(row.request), answer, self.moot)
        again = reasons(row)
        for asked_for in (again.keys() & KEPT) - self.moot:
            if self.doubts.useless(asked_for, better=why != asked_for):
                self.moot.add(asked_for)
                emit(
                    "warning",
                    text=f"{self.progress.task}: asking again ({asked_for}) does not help with "
                    f"{self.who}, so it is not done any more; the checks will tell",
                )
        if why in self.moot or (why and again.get(why, 0) >= self.terms.caps[why]):
            return None
        return why


def reasons(row: Queued) -> dict[Reason, int]:
    """Return how often a request was asked again, by reason."""
    told: dict[Reason, int] = orjson.loads(row.again)
    return told
