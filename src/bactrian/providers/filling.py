"""The loop that asks: a few workers, one source of requests, a heap of those to be asked again.

Knows keys, outcomes and terms; not rows, languages or HTTP. Memory does not grow with the number
of requests: what is done is in the ledger, what is to come is not yet drawn.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

from bactrian.events import emit
from bactrian.ledger import Charge, Entry, Kind, Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Reason, Request, characters_of
from bactrian.providers.ahead import Ahead
from bactrian.providers.doubts import Doubts
from bactrian.providers.interrupt import interruptible
from bactrian.providers.outage import Outage
from bactrian.providers.progress import Progress
from bactrian.providers.retries import KEPT, backoff
from bactrian.providers.seen import Seen, looked_up
from bactrian.providers.terms import Sender, Terms

WATCH_SECONDS = 0.05
READY = 64
"""Requests that are drawn before a worker asks for one."""
MOST_LATER = 10_000
"""Requests that wait to be asked again, beyond which no new one is drawn: memory has an end."""


class Item:
    """One request on its way: how often it was asked, and why again."""

    __slots__ = ("again", "attempts", "key", "request", "reserved")

    def __init__(self, key: str, request: Request) -> None:
        self.key = key
        self.request = request
        self.attempts = 0
        self.again: dict[Reason, int] = {}
        self.reserved = 0.0


class Filling:
    """The state of one fill."""

    def __init__(
        self, ledger: Ledger, provider: Sender, kind: Kind, terms: Terms, progress: Progress
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.kind: Kind = kind
        self.terms = terms
        self.progress = progress
        self.seen = Seen()
        self.later: list[tuple[float, int, Item]] = []
        self.arrived: deque[tuple[list[Item], Sequence[Outcome]]] = deque()
        self.wanted: Ahead[Item] = Ahead(iter(()))
        self.clock = asyncio.Lock()
        self.numbers = count()
        self.chance = random.Random(0)
        self.outage = Outage(provider.name)
        self.doubts = Doubts()
        self.moot = {reason for reason, cap in terms.caps.items() if not cap}
        self.batch_characters = getattr(provider, "batch_characters", 0)
        self.idle = self.in_flight = 0
        self.stopped: BaseException | None = None
        self.held: Item | None = None

    async def work(self, requests: Iterator[Request]) -> None:
        """Ask for everything; raises what stopped it, after what is on its way has come back."""
        self.wanted = Ahead(self._missing(requests))
        async with interruptible(self._interrupt):
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.terms.concurrency):
                        group.create_task(self._pull())
            finally:
                self._take_in()
                if (close := getattr(self.provider, "close", None)) is not None:
                    await close()
        if self.stopped is not None:
            raise self.stopped

    def _missing(self, requests: Iterator[Request]) -> Iterator[Item]:
        progress = self.progress
        for key, request, is_new, is_present in looked_up(requests, self.seen, self.ledger):
            progress.rows += 1
            progress.unique += is_new
            progress.present += is_present
            if is_new and not is_present:
                progress.characters += characters_of(request)
                yield Item(key, request)

    async def _pull(self) -> None:
        try:
            while self.stopped is None and (items := await self._next()):
                if not await self._reserve(items):
                    return
                await self._attempt(items)
        except Exception as error:
            # the other workers are not cancelled: what they have sent is paid for
            self._stop(error)

    def _stop(self, why: BaseException) -> None:
        """Send nothing more; the first reason counts."""
        self.stopped = self.stopped or why
        if (stop := getattr(self.provider, "stop", None)) is not None:
            stop()

    async def _next(self) -> list[Item]:
        """Return what to send: those that are due again first, then new ones; empty at the end."""
        while self.stopped is None:
            items = self._draw()
            if not items and self.arrived:
                self._take_in()
                continue
            # a worker waits for each request that is due later, the others are done
            if items or len(self.later) <= self.idle:
                return items
            self.idle += 1
            async with self.clock:  # one watches it: what is due wakes one worker, not all
                if self.later and self.stopped is None:
                    wait = self.later[0][0] - time.monotonic() + 0.001  # timers may be early
                    await asyncio.sleep(min(wait, WATCH_SECONDS))
            self.idle -= 1
        return []

    def _draw(self) -> list[Item]:
        items: list[Item] = []
        room = self.batch_characters
        while len(items) < self.provider.batch:
            if self.later and self.later[0][0] <= time.monotonic():
                item = heapq.heappop(self.later)[2]
            elif self._full():
                break
            else:
                found = self.held or next(self.wanted, None)
                self.held = None
                if found is None:
                    break
                item = found
            if self.batch_characters:
                room -= characters_of(item.request)
                if items and room < 0:
                    self._put_back(item)
                    break
            items.append(item)
        return items

    def _full(self) -> bool:
        """Whether so much waits to be asked again that nothing new is begun."""
        waiting = len(self.later) + len(self.arrived)
        return waiting >= (1 if self.outage.likely else MOST_LATER)

    def _put_back(self, item: Item) -> None:
        if item.attempts or self.held is not None:
            heapq.heappush(self.later, (0.0, next(self.numbers), item))
        else:
            self.held = item

    async def _reserve(self, items: list[Item]) -> bool:
        """Set the money aside; wait for what is on its way, stop where that does not help."""
        reserve, budget = self.terms.reserve, self.terms.budget
        if reserve is None:
            return True
        for item in items:
            item.reserved = reserve.of(item.request)
        while not budget.reserve(sum(item.reserved for item in items)):
            if self.arrived:
                self._take_in()
            elif self.in_flight:
                await asyncio.sleep(0.02)
            elif len(items) > 1:  # a part of them may fit
                self._put_back(items.pop())
            else:
                self._stop(budget.reached())
            if self.stopped is not None:
                return False
        return True

    async def _attempt(self, items: list[Item]) -> None:
        self.in_flight += len(items)
        try:
            outcomes = await self.provider.send([item.request for item in items])
        except BaseException:
            for item in items:
                self._settle(item, 0.0)
            raise
        finally:
            self.in_flight -= len(items)
        self.arrived.append((items, outcomes))
        if not all(isinstance(outcome, Answer) for outcome in outcomes):
            self._take_in()
        # an answer is looked at when the worker has sent its next request: nobody waits meanwhile
        elif len(self.arrived) == 1:
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        """Do what can be done while the provider works."""
        self._take_in()
        try:
            if self.stopped is None and not self._full():
                self.wanted.make_ready(READY)
        except Exception as error:
            self._stop(error)

    def _take_in(self) -> None:
        """Look at what has arrived."""
        while self.arrived:
            items, outcomes = self.arrived.popleft()
            taken = 0
            try:
                for item, outcome in zip(items, outcomes, strict=True):
                    taken += 1
                    self._take(item, outcome)
                if (gone := self.outage.after(outcomes)) is not None:
                    self._stop(gone)
            except Exception as error:
                self._stop(error)
            for item in items[taken:]:
                self._settle(item, 0.0)
        self.progress.tell()

    def _take(self, item: Item, outcome: Outcome) -> None:
        item.attempts += 1
        if isinstance(outcome, Answer):
            self._settle(item, outcome.cost_usd)
            if self.terms.reserve is not None:
                self.terms.reserve.see(outcome)
            try:
                why = self._against(item, outcome)
            except Exception:
                self._keep(item, outcome)  # else a bug in a check is paid for with every run
                raise
            if why is None:
                self._keep(item, outcome)
            else:
                self._charge(item, why, outcome)
                self._schedule(item, why, 0.0)
            return
        self._settle(item, outcome.billed.cost_usd if outcome.billed else 0.0)
        if outcome.billed is not None:
            reason = outcome.why if isinstance(outcome, Again) else "refusal"
            self._charge(item, reason, outcome.billed)
        if isinstance(outcome, Again):
            self._ask_again(item, outcome)
        else:
            self._fail(item, outcome)

    def _against(self, item: Item, answer: Answer) -> Reason | None:
        """Return why an answer that has come is asked for again; None keeps it."""
        if self.terms.accept is None:
            return None
        why = self.terms.accept(item.request, answer, self.moot)
        for asked_for in (item.again.keys() & KEPT) - self.moot:
            if self.doubts.useless(asked_for, better=why != asked_for):
                self.moot.add(asked_for)
                emit(
                    "warning",
                    text=f"{self.progress.task}: asking again ({asked_for}) does not help with "
                    f"{self.provider.name}, so it is not done any more; the checks will tell",
                )
        if why in self.moot or (why and item.again.get(why, 0) >= self.terms.caps[why]):
            return None
        return why

    def _ask_again(self, item: Item, outcome: Again) -> None:
        tries = item.again.get(outcome.why, 0)
        if tries >= self.terms.caps[outcome.why]:
            times = f"{item.attempts} attempts" if item.attempts > 1 else "1 attempt"
            said = outcome.detail or outcome.why
            self._fail(item, NoAnswer(f"{said} ({times}, the last: {outcome.why})"))
            return
        wait = outcome.after
        if wait is None or outcome.why != "limit":  # a server that is down says 1 s for hours
            wait = max(wait or 0.0, backoff(tries, self.chance.random()))
        self._schedule(item, outcome.why, wait)

    def _schedule(self, item: Item, why: Reason, wait: float) -> None:
        item.again[why] = item.again.get(why, 0) + 1
        self.progress.again[why] = self.progress.again.get(why, 0) + 1
        due = time.monotonic() + wait
        heapq.heappush(self.later, (due, next(self.numbers), item))

    def _settle(self, item: Item, cost: float) -> None:
        self.terms.budget.settle(item.reserved, cost)
        item.reserved = 0.0
        self.progress.cost_usd += cost

    def _fail(self, item: Item, outcome: NoAnswer) -> None:
        self.progress.failed += 1
        self.ledger.put_failure(item.key, outcome.why, item.attempts + outcome.attempts - 1)

    def _charge(self, item: Item, why: Reason, billed: Answer) -> None:
        self.progress.charged += 1
        self.ledger.charge(
            Charge(
                item.key,
                self.kind,
                billed.provider or self.provider.name,
                why,
                billed.output if why in KEPT else "",
                billed.tokens_in,
                billed.tokens_out,
                billed.characters,
                billed.cost_usd,
                time.time(),
            )
        )

    def _keep(self, item: Item, answer: Answer) -> None:
        self.progress.answered += 1
        self.ledger.put(
            Entry(
                item.key,
                self.kind,
                answer.provider or self.provider.name,
                answer.output,
                answer.finish,
                answer.tokens_in,
                answer.tokens_out,
                answer.characters,
                answer.cost_usd,
                answer.provider_id,
                time.time(),
                item.attempts + answer.attempts - 1,
            )
        )

    def _interrupt(self) -> bool:
        """Send nothing more, keep what is on its way; False where that was said before."""
        if isinstance(self.stopped, KeyboardInterrupt):
            return False
        self.stopped = None
        self._stop(KeyboardInterrupt())
        emit(
            "warning",
            text=f"stopping: {self.in_flight} requests on their way are waited for, as they "
            "are paid for; Ctrl-C again leaves them",
        )
        return True
