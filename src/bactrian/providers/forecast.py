"""How many tokens a text will cost, and how long texts become in another language: before any call.

Reads forecast.toml, which is part of the package and is made by benchmarks/forecast.py; how far
off it was measured to be stands in docs/money.md. Knows no provider, price or tokenizer's table.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import exp, fsum, log
from typing import Any

from bactrian.errors import ConfigError, LanguageError, did_you_mean
from bactrian.languages import get

TOKENIZER = "o200k"
"""What is reckoned with where a model's tokenizer is not known."""
A_TEXT = 1.0
"""Tokens that a text has beyond its length: it begins without a space and it ends."""
ANSWERS = (1.0, 2.7, 5.0)
"""Answers of chat models over the outputs of Alpaca and Dolly, in length; see docs/money.md."""
MODELS = {
    "o200k": ("chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-4o", "gpt-5", "gpt-oss", "o1", "o3", "o4"),
    "cl100k": ("gpt-3.5", "gpt-35", "gpt-4"),
    "qwen": ("qwen-", "qwen1.5", "qwen2", "qwen3-", "qwq"),
    "mistral": ("ministral", "mistral-nemo", "open-mistral-nemo", "pixtral"),
    "deepseek": ("deepseek-chat", "deepseek-r1", "deepseek-reasoner", "deepseek-v3"),
    "llama": ("llama-2", "vicuna"),
}
"""How the names of the models begin that a tokenizer is known of."""
LENGTH = "length"
USUAL = "usual"


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is not known yet: as little as, most probably, as much as."""

    low: float
    middle: float
    high: float

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class _Rate:
    """Tokens a code point: of the language, of the English within it, and how to tell them."""

    own: float
    english: float
    usual: float
    """Code points of the language for each byte that UTF-8 takes beyond one; 0 in Latin script."""


def tokens_of(text: str, language: str, tokenizer: str = TOKENIZER) -> float:
    """Return about how many tokens a text has that was written in a language.

    In another script than Latin, the code points in ASCII beyond what the language itself needs
    (spaces, digits) are taken as English: instructions hold code and names.
    """
    if not text:
        return 0.0
    rate = _rate(language, tokenizer)
    count = len(text)
    if not rate.usual:
        return A_TEXT + rate.own * count
    beyond = len(text.encode("utf-8", "surrogatepass")) - count
    own = min(count, beyond * rate.usual)
    return A_TEXT + rate.own * own + rate.english * (count - own)


def tokens_per_character(language: str, tokenizer: str = TOKENIZER) -> float:
    """Return the tokens that a code point of running text in a language takes."""
    return _rate(language, tokenizer).own


def characters_ratio(language: str) -> Range:
    """Return the code points of a translation for each of its English source's."""
    if language == "en":
        return Range(1.0, 1.0, 1.0)
    middle = _facts_of(language)[LENGTH]
    spread = _table()["spread"]
    return Range(middle / spread, middle, middle * spread)


def response_tokens(
    english_output_characters: float, language: str, tokenizer: str = TOKENIZER
) -> Range:
    """Return the tokens of a chat model's own answers, from the outputs of the English collection.

    The range is wide because models differ: from as long as the collection's outputs, to as long
    as the wordiest chat models answer (``ANSWERS``). A pilot replaces it.
    """
    ratio = characters_ratio(language)
    tokens = english_output_characters * tokens_per_character(language, tokenizer)
    low, middle, high = ANSWERS
    return Range(low * ratio.low, middle * ratio.middle, high * ratio.high) * tokens


def tokenizer_of(model: str) -> str:
    """Return the tokenizer that a chat model's name lets expect, or ``TOKENIZER``."""
    name = model.rpartition("/")[2].casefold()
    begun = [
        (len(start), tokenizer)
        for tokenizer, starts in MODELS.items()
        for start in starts
        if name.startswith(start)
    ]
    return max(begun)[1] if begun else TOKENIZER


def tokenizers() -> tuple[str, ...]:
    """Return the tokenizers that the forecast was measured with."""
    return tuple(name for name in _facts_of("en") if name not in (LENGTH, USUAL))


# -- the table ----------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    path = files("bactrian.providers").joinpath("forecast.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _rate(language: str, tokenizer: str) -> _Rate:
    facts = _facts_of(language)
    if tokenizer not in facts or tokenizer in (LENGTH, USUAL):
        raise ConfigError(
            f"no forecast was measured for the tokenizer {tokenizer}",
            did_you_mean(tokenizer, tokenizers()),
        )
    return _Rate(facts[tokenizer], _table()["language"]["en"][tokenizer], facts[USUAL])


@lru_cache(maxsize=1024)
def _facts_of(language: str) -> dict[str, float]:
    """Return what was measured of a language; else the mean of its script; else of all scripts."""
    measured: dict[str, dict[str, float]] = _table()["language"]
    try:
        known = get(language)
    except LanguageError:
        script = language.replace("-", "_").rpartition("_")[2].title()
        return _by_script().get(script) or _mean(
            [facts for name, facts in _by_script().items() if name != "Latn"]
        )
    return measured.get(known.code) or _by_script()[known.script]


@lru_cache(maxsize=1)
def _by_script() -> dict[str, dict[str, float]]:
    scripts: dict[str, list[dict[str, float]]] = {}
    for code, facts in _table()["language"].items():
        scripts.setdefault(get(code).script, []).append(facts)
    return {script: _mean(members) for script, members in scripts.items()}


def _mean(members: list[dict[str, float]]) -> dict[str, float]:
    """Return the geometric mean of every fact; 0 where one is 0."""
    columns = {name: [facts[name] for facts in members] for name in members[0]}
    return {
        name: exp(fsum(map(log, values)) / len(values)) if all(values) else 0.0
        for name, values in columns.items()
    }
