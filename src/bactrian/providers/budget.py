"""The ceiling on money, which counts what is on its way; and what a request may cost at most.

Knows prices and counts; nothing of providers, rows or ledgers.
"""

from __future__ import annotations

import math

from bactrian.errors import BudgetError, ConfigError
from bactrian.providers import Answer, Price, Request, characters_of
from bactrian.providers.forecast import TOKENIZER, tokens_of

BUCKETS_A_DOUBLING = 8
ENOUGH = 200
"""Answers after which the 99th percentile is taken from them; before it, the longest allowed."""


class Budget:
    """What may be spent, what was, and what is reserved for requests on their way, in USD."""

    def __init__(self, ceiling: float = 0.0, spent: float = 0.0) -> None:
        self.ceiling = ceiling or math.inf
        self.spent = spent
        self.reserved = 0.0

    def reserve(self, usd: float) -> bool:
        """Set money aside; False where it would pass the ceiling."""
        if self.spent + self.reserved + usd > self.ceiling:
            return False
        self.reserved += usd
        return True

    def settle(self, reserved: float, cost: float) -> None:
        """Replace what was set aside by what it cost."""
        self.reserved -= reserved
        self.spent += cost

    def reached(self) -> BudgetError:
        """Return the error that ends a run."""
        return BudgetError(
            f"the budget of {self.ceiling:.10g} USD is reached: {self.spent:.4f} USD are spent, "
            "and the next request may cost more than what is left",
            "everything is kept; to go on, run the same command with a higher ceiling: "
            f"--set budget.usd={_higher(self.ceiling):g}",
        )


class Reserve:
    """What a request of one stage in one language may cost: its text, and the longest of answers.

    The answer is taken at the 99th percentile of what came, in buckets of 9 % (so never less);
    before enough have come, at the most that was asked for.
    """

    def __init__(
        self, price: Price, language: str, budget: Budget, tokenizer: str = TOKENIZER
    ) -> None:
        if budget.ceiling < math.inf and not price.known:
            raise ConfigError(
                "a budget is set, and the price of the provider is not known",
                "say it in the recipe: [translate.price] characters = … or "
                "[respond.price] input = … output = …  (USD per million)",
            )
        self.price = price
        self.language = language
        self.tokenizer = tokenizer
        self._counts: dict[int, int] = {}
        self._total = 0
        self._p99 = 0.0

    def of(self, request: Request) -> float:
        """Return USD that are set aside for a request."""
        messages = request.get("messages", ())
        if self.price.characters is not None or not messages:
            return self.price.of(characters=characters_of(request))
        said = [request.get("system", ""), *(message["content"] for message in messages)]
        text = sum(tokens_of(one, self.language, self.tokenizer) for one in said)
        room = request.get("max_completion_tokens") or request.get("max_tokens") or 4096
        longest = min(room, self._p99) if self._total >= ENOUGH else room
        return self.price.of(text * 1.5 + 16, longest)

    def see(self, answer: Answer) -> None:
        """Take note of how long an answer was."""
        if answer.tokens_out <= 0:
            return
        bucket = math.ceil(math.log2(answer.tokens_out) * BUCKETS_A_DOUBLING)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += 1
        if self._total >= ENOUGH and self._total % 64 == ENOUGH % 64:
            self._p99 = self._percentile()

    def _percentile(self) -> float:
        left = math.ceil(self._total / 100)
        for bucket in sorted(self._counts, reverse=True):
            left -= self._counts[bucket]
            if left < 0:
                return float(2 ** (bucket / BUCKETS_A_DOUBLING))
        return float(2 ** (min(self._counts) / BUCKETS_A_DOUBLING))


def _higher(ceiling: float) -> float:
    return math.ceil(ceiling * 2)
