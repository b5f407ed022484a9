"""Which translator takes which pair of languages, known without asking anybody.

Reads pairs.toml, which is part of the package. A pair is refused before it costs anything, and the
error says who takes it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.resources import files

from bactrian import registry
from bactrian.errors import LanguageError
from bactrian.languages import Language, every_language

Takes = Callable[[str, str], bool]


def check(who: str, source: Language, target: Language, *, unlisted: bool = False) -> None:
    """Raise LanguageError for a pair that a translator is not known to take.

    ``unlisted`` lets a pair through that is not in the list: the list has a date.
    """
    if source.code != target.code and (unlisted or _takes()[who](source.code, target.code)):
        return
    raise refused(who, source, target)


def refused(who: str, source: Language, target: Language, detail: str = "") -> LanguageError:
    """Return the error for a pair that a translator, or its server, does not take."""
    pair = f"{source.name} into {target.name} ({source.code} into {target.code})"
    others = [name for name in takers(source.code, target.code) if name != who]
    if source.code == target.code:
        return LanguageError(f"{source.name} would be translated into itself", "leave it out")
    choice = f"using = {' or '.join(others)} does" if others else "no other translator does, either"
    return LanguageError(
        f"{who} does not translate {pair}{f': {detail}' if detail else ''}",
        f"{choice}; or leave the language out: --languages all,!{target.code}",
    )


def takers(source: str, target: str) -> tuple[str, ...]:
    """Return the registered translators that are known to take a pair of codes, sorted."""
    names = registry.names("translators")
    return tuple(name for name in names if name in _takes() and _takes()[name](source, target))


@lru_cache(maxsize=1)
def _takes() -> dict[str, Takes]:
    told = tomllib.loads(files("bactrian.providers").joinpath("pairs.toml").read_text("utf-8"))
    return {name: _among(section) for name, section in told.items()}


def _among(section: dict[str, str]) -> Takes:
    if "pairs" in section:
        pairs = frozenset(section["pairs"].split())
        return lambda source, target: f"{source}-{target}" in pairs
    named = section["languages"]
    known = _every() if named == "every" else frozenset(named.split())
    return lambda source, target: source in known and target in known


@cache
def _every() -> frozenset[str]:
    return frozenset(language.code for language in every_language())
