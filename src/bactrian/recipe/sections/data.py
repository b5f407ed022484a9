"""How rows are made: collections, who translates and answers, checks, and the dataset folder."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bactrian.recipe.sections.section import Count, Section


class Source(Section):
    """One collection of instructions; its name in the recipe begins the ids: alpaca-17."""

    files: tuple[str, ...] = ()
    """Files or folders, relative to the recipe's folder: JSON, JSONL, CSV, TSV or Parquet, each
    plain, .gz or .zst."""
    hub: str = ""
    """Dataset id on the Hub, such as MBZUAI/Bactrian-X, in place of files; needs network = true."""
    subset: str = ""
    """Subset (configuration) of the Hub's dataset, or the one file of a folder, by its name without
    endings; where it is a language's code, that is the language of the rows."""
    split: str = "train"
    """Split of the Hub's dataset."""
    revision: str = ""
    """Commit, branch or tag of the Hub's dataset; none named is what it was when first read."""
    shape: str = "auto"
    """Shape of the rows by registered name, see docs/sources.md; auto looks at the first rows."""
    language: str = ""
    """Language of the rows, a code; auto identifies each row; none named means the subset's, else
    English. What is not English is not translated but joins its language with its own outputs."""
    licence: str = ""
    """Licence that the collection passes on to what is made from it, such as CC-BY-NC-4.0."""


class Price(Section):
    """What a provider bills, in USD per million; what is not named comes from the price list."""

    input: Annotated[float, Field(ge=0)] | None = None
    """Prompt tokens."""
    output: Annotated[float, Field(ge=0)] | None = None
    """Completion tokens."""
    characters: Annotated[float, Field(ge=0)] | None = None
    """Code points sent to a translator."""


class Provider(Section):
    """Who answers the requests of a stage."""

    using: str = "recorded"
    """Registered name of the provider."""
    model: str = ""
    """The provider's engine or model; empty takes its usual one, where it has one."""
    recording: str = ""
    """For recorded: folder of ledgers, one a language, relative to the recipe's folder."""
    endpoints: tuple[str, ...] = ()
    """Base URLs such as http://localhost:8000/v1, used side by side; none: the provider's own."""
    keys: tuple[str, ...] = ()
    """Environment variables, or keyring:service/user, that hold the keys; never the keys."""
    concurrency: Count = 64
    """Calls in flight at once; a call to a translator carries many texts."""
    rpm: Annotated[int, Field(ge=0)] = 0
    """Requests a minute, for each key and endpoint; 0 learns it from the provider's headers."""
    tpm: Annotated[int, Field(ge=0)] = 0
    """Tokens a minute (characters, for a translator), for each key and endpoint; 0 learns it."""
    timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds until an unanswered request counts as lost."""
    retries: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Times that a request is asked again, by reason, where they differ: limit, server, network,
    malformed, empty, length, language, refusal."""
    price: Price = Price()
    options: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the provider, see docs/providers.md."""


class Translate(Provider):
    """Who translates, and what is not translated blindly."""

    protect: bool = True
    """Code, links, formulas, placeholders, numbers and the like come back as they were."""
    programming: Literal["english", "drop", "protect"] = "english"
    """Programming tasks stay in English, are rejected, or are translated around their code."""
    programming_words: str = ""
    """Word list that is laid over the built-in one, relative to the recipe's folder."""
    destroyed: Literal["flag", "keep", "adapt"] = "flag"
    """Tasks that translation destroys (rhyme, spelling, grammar, translation): translated and
    flagged, kept in English, or translated but for their input."""


class Respond(Provider):
    """Who answers the instructions, and how it is asked."""

    system: str = ""
    """System prompt in every language that has none of its own; {language} is its English name."""
    systems: dict[str, str] = Field(default_factory=dict)
    """System prompt by language code."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Sampling temperature."""
    max_tokens: Count = 1024
    """Longest response, in the provider's tokens."""
    batch: bool = False
    """Through the provider's batch API: within a day, and at most of them for half the price."""
    enqueued_tokens: Annotated[int, Field(ge=0)] = 0
    """Prompt tokens that may wait in batches at once; 0 learns it from the provider's refusals."""


class Budget(Section):
    """The ceiling on money."""

    usd: Annotated[float, Field(ge=0)] = 0.0
    """Most that this dataset may cost, all runs and stages together; 0 means no ceiling."""
    prices: str = ""
    """Price list whose models go before the built-in ones, relative to the recipe's folder."""


class Check(Section):
    """Which checks a row has to pass."""

    names: tuple[str, ...] = ()
    """Checks to run; none named means all that are built in."""
    defects: Literal["warn", "reject"] = "warn"
    """Rows whose English side has a known defect (docs/sources.md) are marked, or rejected."""
    thresholds: dict[str, float | int] = Field(default_factory=dict)
    """Limits that differ from the built-in ones, see docs/data.md."""


class Build(Section):
    """How the dataset folder is made."""

    validation: Annotated[int, Field(ge=0)] = 2000
    """Ids held out of training, the same ones in every language."""
