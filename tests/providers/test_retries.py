"""How often and when again: by reason. And what is asked again though an answer has come."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import pytest

from bactrian.errors import ConfigError
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, Outcome, Reason, Request
from bactrian.providers.fill import Filled, fill
from bactrian.providers.outage import SILENT_SECONDS
from bactrian.providers.retries import CAPS, KEPT, backoff, caps
from bactrian.providers.terms import Terms

REASONS: tuple[Reason, ...] = get_args(Reason)


def test_every_reason_has_a_cap() -> None:
    assert CAPS.keys() == set(REASONS)
    assert caps({}) == CAPS


def test_a_recipe_changes_the_caps_it_names() -> None:
    assert caps({"limit": 0, "length": 5}) == {**CAPS, "limit": 0, "length": 5}


def test_an_unknown_reason_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key retries\.limits") as error:
        caps({"limits": 3})
    assert "limit" in error.value.hint


def test_waits_double_up_to_a_minute_and_are_half_random() -> None:
    least = [backoff(tries, 0.0) for tries in range(12)]
    assert least == [0.25, 0.5, 1, 2, 4, 8, 16, *[30] * 5]
    chance = random.Random(0)
    for tries in range(2000):
        assert 0.25 <= backoff(tries, chance.random()) <= 60


def test_no_request_is_given_up_before_an_outage_is_noticed() -> None:
    # else an outage of a minute or two would leave rows behind that a rerun has to ask for
    for why in ("server", "network"):
        least = sum(backoff(tries, 0.0) for tries in range(CAPS[why]))
        assert least >= SILENT_SECONDS


# -- what is asked again though an answer has come ----------------------------------------


class Scripted:
    """Gives each request its outcomes one after another, then answers."""

    name = "scripted:m"

    def __init__(self, batch: int = 1, seconds: float = 0.0) -> None:
        self.batch = batch
        self.seconds = seconds
        self.script: dict[int, list[Outcome]] = defaultdict(list)
        self.sent: list[int] = []
        self.billed = 0.0
        self.calls = 0

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        self.calls += 1
        numbers = [asked["number"] for asked in requests]
        self.sent.extend(numbers)
        await asyncio.sleep(self.seconds)
        return [self.outcome(number) for number in numbers]

    def outcome(self, number: int) -> Outcome:
        told = self.script[number]
        outcome = told.pop(0) if told else Answer(f"answer {number}", cost_usd=0.25)
        billed = outcome if isinstance(outcome, Answer) else outcome.billed
        self.billed += billed.cost_usd if billed is not None else 0.0
        return outcome


def filled(
    path: Path, numbers: Sequence[int], provider: Scripted, terms: Terms | None = None
) -> Filled:
    requests = [{"number": number, "texts": ["text"]} for number in numbers]
    with Ledger(path) as ledger:
        return fill(ledger, requests, provider, "response", terms=terms or Terms(), task="t")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


def accepting(good: str) -> Callable[..., Reason | None]:
    def accept(request: Request, answer: Answer, *_: object) -> Reason | None:
        return None if answer.output == good else "language"

    return accept


@pytest.mark.parametrize(("cap", "kept"), [(0, "a"), (1, "b"), (2, "good"), (5, "good")])
def test_an_answer_that_is_not_accepted_is_asked_again_and_the_last_one_is_kept(
    path: Path, cap: int, kept: str
) -> None:
    provider = Scripted()
    provider.script[0] = [Answer(text, cost_usd=1.0) for text in ("a", "b", "good", "d")]
    terms = Terms(accept=accepting("good"), caps={**CAPS, "language": cap})
    done = filled(path, [0], provider, terms)
    tries = ["a", "b", "good"].index(kept)
    assert (done.answered, done.charged, done.cost_usd) == (1, tries, tries + 1.0)
    assert done.again == ({"language": tries} if tries else {})
    with Ledger(path, read_only=True) as ledger:
        (entry,) = ledger.entries()
        charges = list(ledger.charges())
        (total,) = ledger.totals()
    assert (entry.output, entry.attempts) == (kept, tries + 1)
    assert [(charge.why, charge.output) for charge in charges] == [
        ("language", text) for text in ("a", "b")[:tries]
    ]
    assert total.cost_usd == tries + 1.0


def test_what_was_paid_for_is_told_by_its_text_only_where_there_is_one(path: Path) -> None:
    provider = Scripted()
    for number, why in enumerate(REASONS):
        provider.script[number] = [Again(why, "x", 0.0, Answer("text", cost_usd=1.0))]
    filled(path, range(len(REASONS)), provider, Terms(caps=dict.fromkeys(REASONS, 1)))
    with Ledger(path, read_only=True) as ledger:
        kept = {charge.why: charge.output for charge in ledger.charges()}
    assert kept == {why: "text" if why in KEPT else "" for why in REASONS}


def test_an_answer_whose_check_breaks_is_kept_all_the_same(path: Path) -> None:
    def broken(*_: object) -> Reason | None:
        raise RecursionError("a bug in a check")

    with pytest.raises(RecursionError, match="a bug in a check"):
        filled(path, [0], Scripted(), Terms(accept=broken))
    with Ledger(path, read_only=True) as ledger:
        assert len(ledger) == 1, "the same answer would be paid for with every run"
