"""What a provider bills: the recipe's figures, then the user's price list, then the built-in one.

Reads prices.toml, which is part of the package and dated. A price that nobody has said stays
unknown, never 0, so that a budget can refuse it. Knows no network: prices are never looked up.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from bactrian import recipe
from bactrian.errors import ConfigError, did_you_mean
from bactrian.providers import Price
from bactrian.recipe.sections import Section

RUNS_HERE = frozenset({"apertium", "libretranslate", "local", "recorded", "seq2seq", "vllm"})
"""Providers that nobody sends a bill for; the machine is the user's own."""
ANY_MODEL = "*"
DATED = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{2}-\d{4}|\d{3,4}|latest)$")
"""What a dated name ends with: gpt-4o-mini-2024-07-18, claude-haiku-4-5@20251001, gpt-4-0613."""

Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Model(Section):
    """What a seller asks for one model, in USD per million."""

    input: Usd | None = None
    """Prompt tokens."""
    output: Usd | None = None
    """Completion tokens."""
    characters: Usd | None = None
    """Code points sent to a translator."""
    batch_input: Usd | None = None
    """Prompt tokens through the batch API, where that is not input times the seller's batch."""
    batch_output: Usd | None = None
    """Completion tokens through the batch API."""
    until: datetime.date | None = None
    """Day on which the seller ends the model."""
    source: str = ""
    """Where the figures come from, where that is not the list's own source."""
    date: datetime.date | str = ""
    """Their day, where that is not the list's own."""
    note: str = ""
    """What the figures leave out; printed beside every sum."""


class Seller(Section):
    """Who sends the bill; its name in the list may be that of a provider."""

    hosts: tuple[str, ...] = ()
    """Host names of its endpoints."""
    hosted: bool = False
    """Open weights that others sell at other prices: used for this host only."""
    batch: Usd = 1.0
    """Price of the batch API over the ordinary one; 1 where no discount is known."""
    models: dict[str, Model] = Field(default_factory=dict)
    """Models by name; * stands for every model."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """One file of prices."""

    label: str
    """What is printed, without the date: ``price list``, ``prices.toml``."""
    date: str
    source: str
    sellers: dict[str, Seller]


@dataclass(frozen=True, slots=True)
class _Offer:
    """A model as one list has it."""

    model: Model
    name: str
    listed: str
    """The list and its day, as they are printed."""


@dataclass(slots=True)
class _Offers:
    """What one seller sells, all lists together."""

    hosts: tuple[str, ...] = ()
    hosted: bool = False
    batch: float = 1.0
    models: dict[str, _Offer] = field(default_factory=dict)
    """By folded name."""


def price_of(
    using: str,
    model: str,
    told: recipe.Price,
    table: Path | None = None,
    *,
    endpoints: Sequence[str] = (),
    batch: bool = False,
) -> Price:
    """Return what is billed in USD per million, and where that comes from.

    What the recipe says is taken as it stands, with ``batch`` too. ``table`` is a list like
    prices.toml that goes before it. Raises ConfigError for a list that cannot be read.
    """
    listed = _listed(using, model, table, endpoints, batch=batch)
    if (told.input, told.output, told.characters) == (None, None, None):
        return listed
    mixed = Price(
        listed.input if told.input is None else told.input,
        listed.output if told.output is None else told.output,
        listed.characters if told.characters is None else told.characters,
    )
    complete = Price(told.input, told.output, told.characters).known
    source = "recipe" if complete else f"recipe; {listed.source}"
    return Price(mixed.input, mixed.output, mixed.characters, source)


def read(path: Path) -> PriceList:
    """Return a price list; raises ConfigError naming the key that is wrong."""
    return _parsed(path, path.name)


@lru_cache(maxsize=1)
def built_in() -> PriceList:
    """Return the price list of the package."""
    with as_file(files("bactrian.providers").joinpath("prices.toml")) as path:
        return _parsed(path, "price list")


# -- looking up ---------------------------------------------------------------------------


def _listed(
    using: str, model: str, table: Path | None, endpoints: Sequence[str], *, batch: bool
) -> Price:
    if using in RUNS_HERE:
        return Price(0.0, 0.0, 0.0, "runs here")
    sellers = _together((built_in(), *((read(table),) if table else ())))
    for seller, name in _places(sellers, using, model, endpoints):
        offer = sellers[seller].models.get(name)
        # what is billed by characters is only meant where the provider counts them
        if offer and (offer.model.characters is None or seller == using):
            return _priced(offer, sellers[seller].batch if batch else None, model)
    return Price(source=_unknown(sellers, using, model))


def _together(lists: Sequence[PriceList]) -> dict[str, _Offers]:
    """Return what is sold, by seller; a model of a later list takes the place of an earlier."""
    sellers: dict[str, _Offers] = {}
    for own in lists:
        for name, seller in own.sellers.items():
            offers = sellers.setdefault(name, _Offers())
            for key in seller.model_fields_set - {"models"}:
                setattr(offers, key, getattr(seller, key))
            for key, told in seller.models.items():
                day = str(told.date or own.date)
                listed = f"{own.label} of {day}" if day else own.label
                offers.models[key.casefold()] = _Offer(told, key, listed)
    return sellers


def _places(
    sellers: dict[str, _Offers], using: str, model: str, endpoints: Sequence[str]
) -> list[tuple[str, str]]:
    """Return where a model may stand, the surest place first: (seller, folded name)."""
    hosts = {urlsplit(endpoint).hostname for endpoint in endpoints}
    at_hosts = [name for name, offers in sellers.items() if hosts.intersection(offers.hosts)]
    own = sellers.get(using, _Offers())
    translator = any(offer.model.characters is not None for offer in own.models.values())
    makers = [] if translator else [name for name in sellers if not sellers[name].hosted]
    named = [] if translator else [model.partition("/")[0].casefold()]
    names = _names(model)
    tiers = ((at_hosts, (*names, ANY_MODEL)), ([using], (*names, ANY_MODEL)), (named, names))
    return [
        (seller, name)
        for tier, wanted in (*tiers, (makers, names))
        for name in wanted
        for seller in tier
        if seller in sellers
    ]


def _names(model: str) -> tuple[str, ...]:
    """Return what a model may be listed as: as it is, without prefixes, without its date."""
    parts = model.casefold().split("/")
    whole = ["/".join(parts[start:]) for start in range(len(parts))]
    return tuple(dict.fromkeys((*whole, *(DATED.sub("", name) for name in whole))))


# -- saying it ----------------------------------------------------------------------------


def _priced(offer: _Offer, batch: float | None, asked: str) -> Price:
    """Return the price of an offer; ``batch`` is the seller's factor where a batch is asked for."""
    told = offer.model
    price = Price(told.input, told.output, told.characters)
    said = [offer.listed]
    if offer.name not in (ANY_MODEL, asked):
        said.append(f"as {offer.name}")
    if batch is not None:
        ordinary, price = price, _in_batch(told, batch)
        said.append("batch without a discount" if price == ordinary else "batch")
    if told.until:
        said.append(f"sold until {told.until}")
    source = "; ".join(filter(None, (", ".join(said), told.note)))
    return replace(price, source=source)


def _in_batch(told: Model, factor: float) -> Price:
    def of(ordinary: float | None, batch: float | None) -> float | None:
        return ordinary * factor if batch is None and ordinary is not None else batch

    return Price(
        of(told.input, told.batch_input), of(told.output, told.batch_output), told.characters
    )


def _unknown(sellers: dict[str, _Offers], using: str, model: str) -> str:
    names = _names(model)
    hosts = [
        seller
        for seller, offers in sellers.items()
        if offers.hosted and any(name in offers.models for name in names)
    ]
    at = f", which has another price at each host ({', '.join(hosts)})" if hosts else ""
    return f"no price is known of {using}:{model}{at}; say it in the recipe (docs/money.md)"


# -- reading ------------------------------------------------------------------------------


def _parsed(path: Path, label: str) -> PriceList:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"the price list {path} does not exist", "see budget.prices in the recipe"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            f"{path} is no price list: {error}", "docs/money.md shows the shape of one"
        ) from None
    day, source = str(told.pop("date", "")), str(told.pop("source", ""))
    return PriceList(label, day, source, {name: _seller(path, name, told[name]) for name in told})


def _seller(path: Path, name: str, told: Any) -> Seller:
    try:
        return Seller.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join((name, *map(str, first["loc"])))
        if first["type"] == "extra_forbidden":
            known = Model.model_fields if "models" in first["loc"] else Seller.model_fields
            hint = did_you_mean(str(first["loc"][-1]), known)
            raise ConfigError(f"{path}: unknown key {place}", hint) from None
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(
            f"{path}: {place}: {said}", "docs/money.md shows the shape of a price list"
        ) from None
