"""One job with a batch API: what is asked for, what is out, and what comes in.

The states stand in the ledger (``ledger.batches``); each is written before the step that it allows:

submitting ─ mark ─► sending ─ id ─► sent ─ ended there ─► ended ─ all results in ─► closed

Whoever is killed anywhere goes on from the state that is written (docs/batches.md has the table).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from bactrian.errors import ProviderError
from bactrian.events import emit
from bactrian.ledger import Kind, Ledger
from bactrian.ledger.batches import Batch, Batches, remotes
from bactrian.providers import Answer, Request, characters_of
from bactrian.providers.batches import A_DAY, Dialect, Look, Options
from bactrian.providers.batches.collecting import Collecting
from bactrian.providers.batches.room import TOKEN_LIMIT, Room
from bactrian.providers.batches.sending import Sending
from bactrian.providers.batches.settling import Settling
from bactrian.providers.fill import Filled, Need
from bactrian.providers.progress import Progress
from bactrian.providers.seen import Seen, looked_up
from bactrian.providers.terms import Terms

AT_ONCE = 2000
"""Requests that are queued in one transaction."""
KEPT_DAYS = 30
"""How long providers keep results (29 days at Anthropic, 30 at OpenAI)."""
SAMPLE = 1000
"""Answers in the ledger from which it is learnt how long answers are."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask for: one ledger's part of a run."""

    ledger: Ledger
    requests: Iterable[Request]
    kind: Kind
    terms: Terms
    task: str
    """What the progress is called, such as ``response vi``."""


class Running:
    """A job on its way."""

    def __init__(self, job: Job, dialect: Dialect, room: Room, options: Options) -> None:
        self.job = job
        self.dialect = dialect
        self.room = room
        self.options = options
        self.batches = Batches(job.ledger.path)
        self.progress = Progress(job.task, None)
        self.sending = Sending(self.batches, dialect, room, options)
        settling = Settling(dialect.name, job.kind, job.terms, self.progress)
        self.collecting = Collecting(job.ledger, self.batches, dialect, settling)
        self.looks: dict[str, Look] = {}
        self.begun = False

    @property
    def over(self) -> bool:
        """Whether all that this run wants has come, or has been given up."""
        return self.begun and not (self.batches.waiting() or self.batches.out())

    @property
    def out(self) -> list[Batch]:
        """The batches of this job that are not closed."""
        mine = self.dialect.name, self.job.kind
        return [batch for batch in self.batches.open() if (batch.provider, batch.kind) == mine]

    @property
    def filled(self) -> Filled:
        """What was done so far."""
        at = self.progress
        need = Need(at.rows, at.unique, at.present, at.characters)
        return Filled(need, at.answered, at.failed, at.cost_usd, at.charged, dict(at.again))

    async def step(self) -> bool:
        """Look at what is out and send what may be sent; return whether anything moved."""
        if not self.begun:
            await self._begin()
        moved = False
        for batch in self.out:
            look = self._reconcile if batch.state == "sending" else self._look
            moved |= await look(batch)
        while await self.sending.send(self.job.kind, self.job.terms):
            moved = True
        self.tell()
        return moved

    def tell(self) -> None:
        """Emit where things stand, with the provider's own counts."""
        at, out = self.progress, self.out
        looks = [self.looks[batch.name] for batch in out if batch.name in self.looks]
        emit(
            "progress",
            task=at.task,
            done=at.rows - (at.unique - at.present - at.answered - at.failed),
            total=at.rows,
            answered=at.answered,
            failed=at.failed,
            again=dict(at.again),
            cost_usd=round(at.cost_usd, 6),
            batches=len(out),
            out=sum(batch.requests for batch in out),
            completed=sum(look.completed for look in looks),
        )

    # -- beginning ------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Take up what an earlier run has left, then queue what is missing."""
        self.batches.begin()
        for batch in self.out:
            if batch.state == "submitting":  # its mark was never written: nothing was made of it
                self.batches.shut(batch, "unsent")
                continue
            left = self.batches.unsettled(batch.name) / batch.requests
            self.room.enter(batch.name, batch.tokens)
            self.job.terms.budget.reserved += batch.reserved * left
            if batch.state == "ended":  # killed while it was taken in
                await self._look(batch)
        if (reserve := self.job.terms.reserve) is not None:
            for tokens in self.job.ledger.sample_tokens(self.job.kind, SAMPLE):
                reserve.see(Answer("", tokens_out=tokens))
        self._draw()
        self.begun = True
        others = {batch.provider for batch in self.batches.open()} - {self.dialect.name}
        if self.batches.out() and not self.out:
            raise ProviderError(
                f"{self.batches.path.name}: what is asked for is in batches of "
                f"{', '.join(sorted(others)) or 'another stage'}",
                "collect them first: run the command that sent them",
            )

    def _draw(self) -> None:
        at, job = self.progress, self.job
        group: list[tuple[str, bytes]] = []
        for key, request, is_new, is_present in looked_up(job.requests, Seen(), job.ledger):
            at.rows += 1
            at.unique += is_new
            at.present += is_present
            if is_new and not is_present:
                at.characters += characters_of(request)
                group.append((key, orjson.dumps(request, option=orjson.OPT_SORT_KEYS)))
            if len(group) == AT_ONCE:
                self.batches.want(group)
                group = []
        self.batches.want(group)

    # -- looking --------------------------------------------------------------------------

    async def _reconcile(self, batch: Batch) -> bool:
        """Find out whether a batch was made; until that is sure, its requests stay out."""
        found = await self._find(batch)
        if found == "" and time.time() - batch.time >= self.options.settle:
            await self.dialect.give_up(batch)
            found = await self._find(batch)
            if found == "":
                self.sending.undo(batch, self.job.terms)
                return True
        if not found:
            return False
        self.batches.move(batch, "sent", remote=found)
        emit("note", text=f"{batch.name}: had been sent, as {found}")
        return True

    async def _find(self, batch: Batch) -> str | None:
        """Return the id of a batch, nothing where it was not made, None while nobody knows."""

        def ours(key: str) -> bool:
            return any(row.batch == batch.name for row in self.batches.some((key,)).values())

        known = remotes(self.batches.path.parent)
        found = await self.dialect.find(batch, known, ours)
        if found.remote or found.sure:
            return found.remote
        self.sending.say_once(
            f"{batch.name} unsure",
            f"{batch.name}: a batch that may be it is running; its requests wait until it ends",
        )
        return None

    async def _look(self, batch: Batch) -> bool:
        look = self.looks[batch.name] = await self.dialect.look(batch)
        if look.state == "checking":
            return False
        if look.state == "refused":
            self._refused(batch, look)
            return False
        if look.state == "gone" and time.time() - batch.time < KEPT_DAYS * A_DAY:
            raise ProviderError(
                f"{self.dialect.name} knows no batch {batch.remote} ({batch.name})",
                "use the key it was made with; if it was deleted there, see docs/batches.md",
            )
        self.room.checked(batch.name)
        if look.state == "running":
            return False
        await self.collecting.collect(batch, look)
        self.room.leave(batch.name, batch.tokens)
        self.collecting.end_if_hopeless()
        return True

    def _refused(self, batch: Batch, look: Look) -> None:
        """Put back a batch that was not started, which costs nothing."""
        blamed = self.collecting.blame(batch, look)
        self.sending.undo(batch, self.job.terms, "refused")
        whole = [told for told in look.refused if not told.line]
        said = "; ".join(told.message for told in whole or look.refused[:3]) or look.how
        if any(told.code == TOKEN_LIMIT or "enqueued" in told.message.lower() for told in whole):
            self.sending.say_once("room", f"{self.dialect.name}: {said} Batches become smaller.")
            self.room.refused(self.dialect.name, batch.tokens, said)
        elif not blamed:
            raise ProviderError(
                f"{self.dialect.name} refuses the batch {batch.remote}: {said}",
                "nothing of it was run or billed; mend the recipe and run the command again",
            )
