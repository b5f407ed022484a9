"""The ceiling: never passed, what is on its way counted, and what a request may cost."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from bactrian.errors import BudgetError, ConfigError, ProviderError
from bactrian.ledger import Ledger
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request
from bactrian.providers.budget import BUCKETS_A_DOUBLING, ENOUGH, Budget, Reserve
from bactrian.providers.fill import Filled, fill
from bactrian.providers.forecast import tokens_of
from bactrian.providers.terms import Terms

PRICE = Price(input=1.0, output=1e6)
"""A dollar a token of output: sums are easy to see."""
CHAT = {"messages": [{"role": "user", "content": "Xin chào"}], "max_tokens": 1000}


def test_what_is_set_aside_and_what_is_spent_stay_below_the_ceiling() -> None:
    budget = Budget(1.0, spent=0.5)
    assert budget.reserve(0.25)
    assert not budget.reserve(0.5)
    assert budget.reserve(0.25)
    assert not budget.reserve(0.01)
    budget.settle(0.25, 0.125)
    assert (budget.spent, budget.reserved) == (0.625, 0.25)
    assert budget.reserve(0.125)


def test_no_ceiling_never_stops_but_counts() -> None:
    budget = Budget()
    assert budget.reserve(1e12)
    budget.settle(1e12, 3.0)
    assert (budget.spent, budget.reserved) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("ceiling", "said", "next_step"),
    [(20, "20 USD", "usd=40"), (0.002, "0.002 USD", "usd=1"), (12345.5, "12345.5 USD", "=24691")],
)
def test_a_budget_that_is_reached_says_how_to_go_on(
    ceiling: float, said: str, next_step: str
) -> None:
    error = Budget(ceiling, 0.0015).reached()
    assert isinstance(error, BudgetError)
    assert f"the budget of {said} is reached: 0.0015 USD are spent" in error.problem
    assert next_step in error.hint


@pytest.mark.parametrize("price", [Price(), Price(input=1.0), Price(output=1.0)])
def test_a_ceiling_without_a_price_is_refused(price: Price) -> None:
    with pytest.raises(ConfigError, match="the price of the provider is not known") as error:
        Reserve(price, "vi", Budget(1.0))
    assert "[respond.price]" in error.value.hint
    assert Reserve(price, "vi", Budget()).of({"texts": ["a"]}) == 0.0


def test_translators_are_reckoned_by_code_points() -> None:
    reserve = Reserve(Price(characters=1e6), "km", Budget(100))
    assert reserve.of({"texts": ["ខ្មែរ", "", "👩‍👧"]}) == 5 + 3


def test_a_chat_request_is_reckoned_at_its_longest_until_enough_have_answered() -> None:
    reserve = Reserve(PRICE, "vi", Budget(100))
    assert reserve.of(CHAT) == pytest.approx(1000, abs=0.01)
    assert reserve.of({**CHAT, "max_completion_tokens": 7}) == pytest.approx(7, abs=0.01)
    assert reserve.of({"messages": CHAT["messages"]}) == pytest.approx(4096, abs=0.01)
    for _ in range(ENOUGH - 1):
        reserve.see(Answer("", tokens_out=10))
    assert reserve.of(CHAT) == pytest.approx(1000, abs=0.01)
    reserve.see(Answer("", tokens_out=10))
    assert 10 <= reserve.of(CHAT) < 11
    # never more than the request allows
    for _ in range(200):
        reserve.see(Answer("", tokens_out=100_000))
    assert reserve.of(CHAT) == pytest.approx(1000, abs=0.01)


def test_the_text_of_a_request_is_reckoned_with_room() -> None:
    reserve = Reserve(Price(input=1e6, output=0.0), "vi", Budget(1e9))
    for text in ("a", "Xin chào " * 500, "តើអ្នកសុខសប្បាយទេ"):
        asked = {"messages": [{"role": "user", "content": text}]}
        assert reserve.of(asked) >= 1.5 * tokens_of(text, "vi")


@pytest.mark.parametrize("seed", range(5))
def test_the_99th_percentile_is_that_of_numpy_and_never_less(seed: int) -> None:
    numpy = pytest.importorskip("numpy")
    chance = random.Random(seed)
    count = chance.choice([ENOUGH, ENOUGH + 64, 2000])
    count = ENOUGH + (count - ENOUGH) // 64 * 64  # it is taken anew after every 64
    counts = [math.ceil(chance.lognormvariate(5, 0.8)) for _ in range(count)]
    reserve = Reserve(Price(input=0.0, output=1e6), "vi", Budget(1e9))
    for tokens in counts:
        reserve.see(Answer("", tokens_out=tokens))
    found = reserve.of({**CHAT, "max_tokens": 10**9})
    exact = float(numpy.percentile(counts, 99, method="lower"))
    assert exact <= found <= exact * 2 ** (1 / BUCKETS_A_DOUBLING) * 1.0001


def test_answers_that_count_no_tokens_say_nothing() -> None:
    reserve = Reserve(PRICE, "vi", Budget(100))
    for _ in range(2 * ENOUGH):
        reserve.see(Answer("", tokens_out=0))
    assert reserve.of(CHAT) == pytest.approx(1000, abs=0.01)


# -- in a run -----------------------------------------------------------------------------


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


class Half:
    """Sets half a dollar aside for each request."""

    def of(self, request: Request) -> float:
        return 0.5

    def see(self, answer: Answer) -> None:
        pass


def within(ceiling: float, spent: float = 0.0, concurrency: int = 8) -> Terms:
    budget = Budget(ceiling, spent)
    return Terms(concurrency=concurrency, budget=budget, reserve=Half())  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_ceiling_is_never_passed_and_a_higher_one_goes_on(
    path: Path, batch: int, concurrency: int
) -> None:
    most = 0.0

    class Watched(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
            nonlocal most
            most = max(most, terms.budget.spent + terms.budget.reserved)
            return await super().send(requests)

    terms = within(5.0, concurrency=concurrency)
    provider = Watched(batch, seconds=0.002)
    provider.script[3] = [Again("empty", billed=Answer("", cost_usd=0.25))]
    with pytest.raises(BudgetError, match=r"the budget of 5 USD is reached: 4\.\d+ USD are spent"):
        filled(path, range(100), provider, terms)
    assert most <= 5.0
    # what is left does not pay for one more; one that waits to be asked again may not be sent
    assert 4.5 < provider.billed <= 5.0
    assert terms.budget.spent == pytest.approx(provider.billed)
    assert terms.budget.reserved == pytest.approx(0.0)
    with Ledger(path, read_only=True) as ledger:
        spent = sum(total.cost_usd for total in ledger.totals())
        safe = len(ledger)
    assert spent == pytest.approx(provider.billed)
    second = Scripted(batch)
    done = filled(path, range(100), second, within(100.0, spent))
    assert done.need.present == safe
    assert len(second.sent) == 100 - safe


def test_a_budget_waits_for_what_is_on_its_way(path: Path) -> None:
    # half a dollar is set aside, a quarter is paid: with three on their way the first ten fit
    # only if what came back is counted
    provider = Scripted(seconds=0.01)
    terms = within(2.75, concurrency=3)
    assert filled(path, range(10), provider, terms).cost_usd == 2.5


def test_what_raises_gives_its_reserve_back(path: Path) -> None:
    class Broken(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
            raise ProviderError("no credit", "add some")

    terms = within(50.0)
    with pytest.raises(ProviderError, match="no credit"):
        filled(path, range(5), Broken(), terms)
    assert (terms.budget.reserved, terms.budget.spent) == (0.0, 0.0)


def test_a_batch_that_is_too_dear_as_a_whole_is_sent_in_parts(path: Path) -> None:
    provider = Scripted(batch=64)
    with pytest.raises(BudgetError):
        filled(path, range(64), provider, within(3.0))
    # half a dollar each is set aside and a quarter paid: six, then three, then one, then one
    assert len(provider.sent) == 11
    assert provider.billed == 2.75


def test_a_refusal_that_was_billed_is_counted(path: Path) -> None:
    provider = Scripted()
    provider.script[0] = [NoAnswer("declined", billed=Answer("", "lost", 5, 7, 3, 0.125))]
    done = filled(path, [0, 1], provider)
    assert (done.answered, done.failed, done.charged, done.cost_usd) == (1, 1, 1, 0.375)
    with Ledger(path, read_only=True) as ledger:
        (total,) = ledger.totals()
        (charge,) = ledger.charges()
    assert (total.cost_usd, total.tokens_out, total.charges) == (0.375, 7, 1)
    assert charge.why == "refusal"
