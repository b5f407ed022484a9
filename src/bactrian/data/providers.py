"""From a recipe to who answers and on what terms: the provider, its price, the budget.

Knows the recipe's sections and the ledgers' places; sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from bactrian import registry
from bactrian.errors import ConfigError
from bactrian.languages import Language
from bactrian.ledger import Ledger, Total
from bactrian.providers import Price, Told
from bactrian.providers.budget import Budget, Reserve
from bactrian.providers.forecast import tokenizer_of
from bactrian.providers.prices import price_of
from bactrian.providers.retries import caps
from bactrian.providers.terms import Accept, Terms
from bactrian.recipe import Provider, Respond
from bactrian.workspace import Workspace

USUAL = {"google": "nmt"}
"""The model that is priced where the recipe names none."""


@dataclass(frozen=True, slots=True)
class Engaged:
    """Who answers a stage, for how much, under which ceiling; one for all languages of a run."""

    section: Provider
    provider: Any
    """A Translator or a ChatModel, as the stage needs it."""
    price: Price
    budget: Budget

    def sharing(self, other: Engaged) -> Engaged:
        """Return the same under the other's budget: one ceiling for both stages of a run."""
        return replace(self, budget=other.budget)

    def terms(self, language: Language, accept: Accept | None = None) -> Terms:
        """Return the terms in one language; raises ConfigError for a budget without a price."""
        billed = self.price.known or self.budget.ceiling < float("inf")
        return Terms(
            concurrency=self.section.concurrency,
            caps=caps(self.section.retries),
            accept=accept,
            budget=self.budget,
            reserve=self._reserve(language) if billed else None,
        )

    def _reserve(self, language: Language) -> Reserve:
        tokenizer = tokenizer_of(self.section.model)
        return Reserve(self.price, language.code, self.budget, tokenizer)


def engage(
    stage: Literal["translate", "respond"],
    workspace: Workspace,
    provider: Any = None,
    *,
    engine: str = "",
) -> Engaged:
    """Return who answers a stage as the recipe says, or ``provider`` in place of it.

    With the engine ``ray`` the provider answers on the actors of a cluster.
    """
    section: Provider = getattr(workspace.recipe, stage)
    price = price_of_section(section, workspace)
    if provider is None:
        told = Told(section, workspace.recipe_folder, price, workspace.recipe.network)
        provider = _made("translators" if stage == "translate" else "chats", told, engine)
    spent = sum(total.cost_usd for total in spending(workspace))
    return Engaged(section, provider, price, Budget(workspace.recipe.budget.usd, spent))


def _made(kind: Literal["translators", "chats"], told: Told, engine: str) -> Any:
    if engine == "ray":
        from bactrian.providers.rayed import rayed

        return rayed(kind, told)
    if engine:
        raise ConfigError(f"unknown engine {engine}", "leave --engine out, or write --engine ray")
    return registry.find(kind, told.section.using)(told)


def price_of_section(section: Provider, workspace: Workspace) -> Price:
    """Return what the provider of a section bills."""
    prices = workspace.recipe.budget.prices
    return price_of(
        section.using,
        section.model or USUAL.get(section.using, ""),
        section.price,
        workspace.given(prices) if prices else None,
        endpoints=section.endpoints,
        batch=isinstance(section, Respond) and section.batch,
    )


def spending(workspace: Workspace) -> tuple[Total, ...]:
    """Return the sums of every ledger of the dataset."""
    found: list[Total] = []
    for path in sorted((workspace.dataset / "ledger").glob("*.sqlite")):
        with Ledger(path, read_only=True) as ledger:
            found.extend(ledger.totals())
    return tuple(found)
