"""What a stage would send and cost in a language, before anything is sent.

Translators bill characters: those are counted, not guessed. Responses bill tokens: what was
answered before (a pilot, an earlier run) says how long they are, else the English outputs do
(docs/money.md). Sends nothing.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bactrian import table
from bactrian.data.ask import Asking, need
from bactrian.data.collect import collect
from bactrian.data.providers import Engaged
from bactrian.data.respond import responding
from bactrian.data.translate import road, translating
from bactrian.languages import Language
from bactrian.ledger import Ledger
from bactrian.providers.forecast import (
    Range,
    characters_ratio,
    response_tokens,
    tokenizer_of,
    tokens_per_character,
)
from bactrian.recipe import Translate
from bactrian.workspace import Workspace

Stage = Literal["translate", "respond"]
ENOUGH = 20
"""Answers in a ledger after which they, not the English outputs, say how long answers are."""
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
    sent = Range(found.characters, found.characters, found.characters)
    return Plan(
        "translate",
        language.code,
        found.rows,
        found.missing,
        found.present,
        characters=sent,
        tokens_in=NOTHING,
        tokens_out=NOTHING,
        usd=sent * (using.price.of(characters=1)) if using.price.known else None,
        basis="counted",
        price=using.price.source,
    )


def plan_responses(workspace: Workspace, language: Language, using: Engaged) -> Plan:
    """Return the plan of the responses, from what is known of their length."""
    asking = responding(workspace, language, using)
    tokenizer = tokenizer_of(using.section.model)
    requests, present, characters = _prompts(workspace, asking)
    per_character = tokens_per_character(language.code, tokenizer)
    tokens_in = characters * per_character
    each, basis = _answer_tokens(workspace, asking, tokenizer)
    tokens_out = each * requests
    usd = None
    if using.price.known:
        low, middle, high = (
            using.price.of(getattr(tokens_in, end), getattr(tokens_out, end))
            for end in ("low", "middle", "high")
        )
        usd = Range(low, middle, high)
    return Plan(
        "respond",
        language.code,
        requests + present,
        requests,
        present,
        characters=characters,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=usd,
        basis=basis,
        price=using.price.source,
    )


def _prompts(workspace: Workspace, asking: Asking) -> tuple[int, int, Range]:
    """Return (requests to send, present, code points): counted where the rows are translated."""
    code = asking.language.code
    if asking.is_english:
        return 0, 0, NOTHING
    if table.info(asking.rows_from[0]) is not None:
        found = need(asking)
        exact = float(found.characters)
        return found.missing, found.present, Range(exact, exact, exact)
    sums = _asked_for(workspace)
    return sums.rows, 0, characters_ratio(code) * sums.prompt


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
    """Return the tokens of one answer, and where that comes from."""
    known = _answered(asking)
    if len(known) >= ENOUGH:
        mean = statistics.fmean(known)
        # the standard error of a mean: 1.96 of it either way
        off = 1.96 * statistics.stdev(known) / len(known) ** 0.5
        return Range(max(0.0, mean - off), mean, mean + off), f"from {len(known):,} answers"
    sums = _asked_for(workspace)
    if asking.is_english or not sums.rows:
        return NOTHING, "nothing to ask"
    return (
        response_tokens(sums.output / sums.rows, asking.language.code, tokenizer),
        "from the length of the English outputs",
    )


def _answered(asking: Asking) -> list[int]:
    if not asking.ledger.is_file():
        return []
    with Ledger(asking.ledger, read_only=True) as ledger:
        return ledger.sample_tokens("response", SAMPLED)


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
