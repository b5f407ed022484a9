"""What a stage would send and cost in a language, before anything is sent.

Translators bill characters: those are counted, not guessed. Responses bill tokens: what was
answered before (a pilot, an earlier run) says how long they are, else the English outputs do
(docs/money.md). Sends nothing.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bactrian import table
from bactrian.data.ask import Asking, need
from bactrian.data.collect import collect
from bactrian.data.providers import Engaged
from bactrian.data.respond import PROBE, responding
from bactrian.data.translate import road, translating
from bactrian.languages import Language, get
from bactrian.ledger import Ledger
from bactrian.providers import characters_of
from bactrian.providers.fill import Need
from bactrian.providers.forecast import (
    Range,
    characters_ratio,
    response_tokens,
    tokenizer_of,
    tokens_of,
    tokens_per_character,
)
from bactrian.recipe import Translate
from bactrian.workspace import Workspace

Stage = Literal["translate", "respond"]
ENOUGH = 8
"""Answers in a ledger from which on they, not the English outputs, say how long answers are."""
SAMPLED = 2000
NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """One stage in one language."""

    stage: Stage
    language: str
    rows: int
    requests: int
    """Requests that would be sent."""
    present: int
    """Requests that are paid for."""
    characters: Range
    """Code points that would be sent."""
    tokens_in: Range
    tokens_out: Range
    usd: Range | None
    """None where nobody has said what the provider bills."""
    basis: str
    """What the figures rest on."""
    price: str
    """Where the price comes from, and its date."""

    def line(self) -> str:
        """Return one line for a person."""
        sent = f"would send {self.requests:,} of {self.requests + self.present:,} requests"
        known = f"; {self.present:,} are in the ledger" if self.present else ""
        cost = "cost unknown: no price" if self.usd is None else f"{_usd(self.usd)} USD"
        counted = f"{_about(self.characters)} characters"
        if self.stage == "respond":
            both = f"{_about(self.tokens_in)} tokens in, {_about(self.tokens_out)} out"
            counted = f"{both} ({self.basis})"
        return f"{self.language}  {sent}, {counted}, {cost}{known}"

    def facts(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {**asdict(self), "send": self.requests}


class Sums(NamedTuple):
    """The rows that will be asked for, and their code points."""

    rows: int
    prompt: int
    """Of instruction and input."""
    output: int


def plan_stage(workspace: Workspace, language: Language, stage: Stage, using: Engaged) -> Plan:
    """Return what a stage would send in a language, and what it would cost."""
    if stage == "translate":
        return plan_translation(workspace, language, using)
    return plan_responses(workspace, language, using)


def plan_translation(workspace: Workspace, language: Language, using: Engaged) -> Plan:
    """Return the plan of a translation: exact, but for what comes back broken."""
    found = need(translating(workspace, language, using))
    sent = _exactly(found.characters)
    tokens_in, tokens_out = _translated_tokens(using, language, found)
    return Plan(
        "translate",
        language.code,
        found.rows,
        found.missing,
        found.present,
        characters=sent,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=_cost(using, tokens_in, tokens_out, sent),
        basis="counted" if tokens_out == NOTHING else "from the length of the English rows",
        price=using.price.source,
    )


def plan_responses(workspace: Workspace, language: Language, using: Engaged) -> Plan:
    """Return the plan of the responses, from what is known of their length."""
    asking = responding(workspace, language, using)
    tokenizer = tokenizer_of(using.section.model)
    known = _answered(asking)
    requests, present, characters = _prompts(workspace, asking, known.answers)
    tokens_in = characters * tokens_per_character(language.code, tokenizer)
    each, basis = _answer_tokens(workspace, asking, tokenizer)
    if len(known.sample) >= ENOUGH:
        each, basis = known.next(requests), f"from {known.answers:,} answers"
    tokens_out = each * requests
    return Plan(
        "respond",
        language.code,
        requests + present,
        requests,
        present,
        characters=characters,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=_cost(using, tokens_in, tokens_out),
        basis=basis,
        price=using.price.source,
    )


def _exactly(number: float) -> Range:
    return Range(float(number), float(number), float(number))


def _cost(
    using: Engaged, tokens_in: Range, tokens_out: Range, characters: Range = NOTHING
) -> Range | None:
    """Return USD; None where nobody has said what the provider bills."""
    if not using.price.known:
        return None
    low, middle, high = (
        using.price.of(*(getattr(one, end) for one in (tokens_in, tokens_out, characters)))
        for end in ("low", "middle", "high")
    )
    return Range(low, middle, high)


def _translated_tokens(using: Engaged, language: Language, found: Need) -> tuple[Range, Range]:
    """Return the tokens in and out of a translator that bills them: a chat model."""
    if using.price.characters is not None or not (using.price.known and found.missing):
        return NOTHING, NOTHING
    code, tokenizer = language.code, tokenizer_of(using.section.model)
    bare = using.provider.request(("", ""), get("en"), language).get("messages", ())
    around = sum(tokens_of(message["content"], "en", tokenizer) for message in bare)
    english = found.characters * tokens_per_character("en", tokenizer)
    said = found.characters * tokens_per_character(code, tokenizer)
    return _exactly(found.missing * around + english), characters_ratio(code) * said


def _prompts(workspace: Workspace, asking: Asking, answers: int) -> tuple[int, int, Range]:
    """Return (requests to send, present, code points): counted where the rows are translated.

    Before that, every answer in the ledger is taken for one that will be needed.
    """
    if asking.is_english:
        return 0, 0, NOTHING
    before, english = (
        table.info(path) for path in (asking.rows_from[0], workspace.stage("sources", "en"))
    )
    # a table of fewer rows was made before there were more
    if before is not None and (english is None or before.rows >= english.rows):
        found = need(asking)
        return found.missing, found.present, _exactly(found.characters)
    sums = _asked_for(workspace)
    requests = max(0, sums.rows - answers)
    around = characters_of(asking.follows) - len(PROBE.instruction) - len(PROBE.input)
    text = characters_ratio(asking.language.code) * (sums.prompt / max(1, sums.rows))
    each = Range(text.low + around, text.middle + around, text.high + around)
    return requests, sums.rows - requests, each * requests


def _asked_for(workspace: Workspace) -> Sums:
    """Return what will be translated of the English rows."""
    collect(workspace)
    path, told = workspace.stage("sources", "en"), workspace.recipe.translate
    found = table.info(path)
    assert found is not None  # just collected
    return _sums(path, found.content, told.programming, told.destroyed)


@lru_cache(maxsize=4)
def _sums(path: Path, content: str, programming: Any, destroyed: Any) -> Sums:
    """Read the rows once for all languages; ``content`` is their hash."""
    told = Translate(programming=programming, destroyed=destroyed)
    rows = prompt = output = 0
    for row in table.read(path):
        if road(row.flags, told).way in ("translate", "adapt"):
            rows += 1
            prompt += len(row.example.instruction) + len(row.example.input)
            output += len(row.example.output)
    return Sums(rows, prompt, output)


def _answer_tokens(workspace: Workspace, asking: Asking, tokenizer: str) -> tuple[Range, str]:
    """Return the tokens of one answer, and where that comes from, before any has come."""
    sums = _asked_for(workspace)
    if asking.is_english or not sums.rows:
        return NOTHING, "nothing to ask"
    each = response_tokens(sums.output / sums.rows, asking.language.code, tokenizer)
    told = asking.follows
    room = told.get("max_completion_tokens") or told.get("max_tokens") or float("inf")
    low, middle, high = (min(room, tokens) for tokens in (each.low, each.middle, each.high))
    return Range(low, middle, high), "from the length of the English outputs"


class Answered(NamedTuple):
    """What a ledger says of the length of answers."""

    answers: int
    tokens: int
    """Of all of them, with what was paid for nothing on the way to them."""
    sample: list[int]
    """Tokens of some."""

    def next(self, requests: int) -> Range:
        """Return the mean tokens of so many more, in about 19 of 20 cases.

        Student's interval (1.96 + 2.8 / (n - 1) standard errors), on the scale of ratios, as
        lengths are skewed. Of Alpaca's and of log-normal lengths it held 87 to 95 % of the totals
        with 8 answers, 89 to 96 % with 20 and 92 to 96 % with 40.
        """
        mean = self.tokens / self.answers
        relative = statistics.stdev(self.sample) / statistics.fmean(self.sample)
        error = relative * (1 / self.answers + 1 / max(1, requests)) ** 0.5
        off = math.exp((1.96 + 2.8 / (len(self.sample) - 1)) * error)
        return Range(mean / off, mean, mean * off)


def _answered(asking: Asking) -> Answered:
    if not asking.ledger.is_file():
        return Answered(0, 0, [])
    with Ledger(asking.ledger, read_only=True) as ledger:
        sums = [total for total in ledger.totals() if total.kind == "response"]
        # a provider that does not count tokens says 0
        sample = [tokens for tokens in ledger.sample_tokens("response", SAMPLED) if tokens]
    answers, tokens = sum(one.answers for one in sums), sum(one.tokens_out for one in sums)
    return Answered(answers, tokens, sample)


def total(plans: list[Plan]) -> Range | None:
    """Return the sum of costs; languages err together, so the ends add up, too."""
    known = [plan.usd for plan in plans if plan.usd is not None]
    if len(known) < len(plans):
        return None
    return Range(
        sum(usd.low for usd in known),
        sum(usd.middle for usd in known),
        sum(usd.high for usd in known),
    )


def _usd(found: Range) -> str:
    if found.high - found.low < 0.005:
        return f"{found.middle:.2f}"
    return f"{found.middle:.2f} ({found.low:.2f} to {found.high:.2f})"


def _about(found: Range) -> str:
    return f"{found.middle:,.0f}"
