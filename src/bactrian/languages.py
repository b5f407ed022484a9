"""Which languages there are, what is true of each, and how a user may spell them.

Reads languages.toml, which is part of the package. Knows nothing of providers, models or rows.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from bactrian.errors import LanguageError, did_you_mean

Direction = Literal["ltr", "rtl"]

SEE_ALL = "bactrian languages prints them all"
HOW_TO_CHOOSE = 'write codes such as "id,ta", or "all", "seen:llama", "group:indic"'


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its names, how it is written, what others call it, which bases saw it."""

    code: str
    """ISO 639-1 code, the one spelling that is written to files."""
    name: str
    """English name."""
    native: str
    """Name in the language itself, in its own script."""
    script: str
    """ISO 15924 name of the writing system, such as ``Latn``, ``Khmr``, ``Hans``, ``Jpan``."""
    family: str
    """Language family, such as ``Indo-European``."""
    group: str
    """Branch of the family as ``group:`` takes it, such as ``indic``."""
    flores200: str
    """Code of FLORES-200 and NLLB, such as ``afr_Latn``."""
    google: str
    """Code that Google Cloud Translation documents, such as ``zh-CN``."""
    mbart50: str = ""
    """Code of mBART-50, such as ``af_ZA``; empty for a language that only benchmarks have."""
    direction: Direction = "ltr"
    """Where a line begins: ``ltr`` at the left, ``rtl`` at the right."""
    spaces: bool = True
    """Words are separated by spaces."""
    llama: bool = False
    """LLaMA's training data name the language (Touvron et al. 2023, section 2.1)."""
    bloom: bool = False
    """BLOOM's training data, ROOTS, have the language (its model card)."""
    aliases: tuple[str, ...] = field(default=(), repr=False)
    """Further spellings that mean exactly this language: ISO 639-2 and 639-3, locales, names."""

    @property
    def seen_by_llama(self) -> bool:
        """LLaMA was trained on the language; the same as ``llama``."""
        return self.llama

    @property
    def seen_by_bloom(self) -> bool:
        """BLOOM was trained on the language; the same as ``bloom``."""
        return self.bloom

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every way to write the language that is understood, the code first."""
        own = (self.code, self.name, self.native, self.flores200, self.google, self.mbart50)
        return tuple(
            dict.fromkeys(filter(None, (*own, f"{self.code}_{self.script}", *self.aliases)))
        )


# -- the languages ------------------------------------------------------------------------


@lru_cache(maxsize=1)
def every_language() -> tuple[Language, ...]:
    """Return the 61 languages: the 52 by code, then nine that only benchmarks have."""
    facts = _facts()
    return tuple(
        Language(code=code, family=facts["groups"][row["group"]], **_complete(code, row))
        for code, row in facts["language"].items()
    )


@lru_cache(maxsize=1)
def all_languages() -> tuple[Language, ...]:
    """Return the 52 languages of mBART-50 and Bactrian-X, by code: what ``all`` stands for."""
    return tuple(language for language in every_language() if language.mbart50)


def get(code: str) -> Language:
    """Return the language of a code, an alias or a name, in any case, with ``_`` or ``-``.

    Raises LanguageError, with the right code where the mistake is a known one.
    """
    found = _by_spelling().get(_fold(code))
    if found is None:
        raise LanguageError(f'unknown language "{code.strip()}"', _hint(code))
    return found


def parse(spec: str) -> tuple[Language, ...]:
    """Return the languages that a list such as ``group:indic,id`` or ``all,!en`` chooses.

    Terms are separated by commas: a code or name as in ``get``, ``all``, ``seen:BASE``,
    ``unseen:BASE`` (``llama`` or ``bloom``) and ``group:NAME``. The sets are sets of the 52; the
    benchmarks' nine are chosen by code. ``-`` or ``!`` before a term takes its languages away,
    wherever it stands. Order is kept, repetitions are dropped. Raises LanguageError for a term
    that means nothing, and when no language is chosen or left.
    """
    chosen: dict[Language, None] = {}
    taken_away: set[Language] = set()
    for term in filter(None, map(str.strip, spec.split(","))):
        if term.startswith(("-", "!")):
            taken_away.update(_select(term[1:].strip()))
        else:
            chosen.update(dict.fromkeys(_select(term)))
    if taken_away and not chosen:
        raise LanguageError(
            f'"{spec}" takes languages away from none', f'put "all" first: "all,{spec.strip()}"'
        )
    if not chosen:
        raise LanguageError("no language is chosen", HOW_TO_CHOOSE)
    left = tuple(language for language in chosen if language not in taken_away)
    if not left:
        raise LanguageError(f'"{spec}" takes away every language it chooses', HOW_TO_CHOOSE)
    return left


# -- reading the facts --------------------------------------------------------------------


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    return tomllib.loads(files("bactrian").joinpath("languages.toml").read_text("utf-8"))


def _complete(code: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"google": code, **row, "aliases": tuple(row["aliases"])}


@lru_cache(maxsize=1)
def _by_spelling() -> dict[str, Language]:
    return {_fold(word): known for known in every_language() for word in known.spellings}


@lru_cache(maxsize=1)
def _warnings() -> dict[str, str]:
    """What to tell about a word that is refused, by the folded word."""
    facts = _facts()
    told = {_fold(word): hint for hint, words in facts["refused"].items() for word in words}
    for code, name in facts["absent"].items():
        told |= dict.fromkeys((_fold(code), _fold(name)), f"{name} is not among the languages")
    return told


def _fold(word: str) -> str:
    """Return the form under which spellings are compared: ``zh_Hans CN`` as ``zh-hans-cn``."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", word.strip()).casefold())
    return re.sub(r"[\s_-]+", "-", plain)


# -- what was meant -----------------------------------------------------------------------


def _select(term: str) -> tuple[Language, ...]:
    """Return the languages of one term; see ``parse``."""
    kind, colon, value = (part.strip() for part in term.casefold().partition(":"))
    if not colon:
        return all_languages() if kind == "all" else (get(term),)
    if kind in ("seen", "unseen"):
        return _by_base(value, seen=kind == "seen")
    if kind == "group":
        return _by_group(_fold(value))
    raise LanguageError(f'unknown selection "{term}"', HOW_TO_CHOOSE)


def _by_base(base: str, *, seen: bool) -> tuple[Language, ...]:
    if base == "llama":
        return tuple(known for known in all_languages() if known.llama == seen)
    if base == "bloom":
        return tuple(known for known in all_languages() if known.bloom == seen)
    raise LanguageError(f'unknown base "{base}"', did_you_mean(base, ("llama", "bloom")))


def _by_group(group: str) -> tuple[Language, ...]:
    members = tuple(known for known in all_languages() if known.group == group)
    if members:
        return members
    named = [known.code for known in every_language() if known.group == group]
    if named:
        hint = f'choose by code: "{",".join(named)}"'
        raise LanguageError(f'the group "{group}" has none of the 52 languages', hint)
    groups = sorted({known.group for known in all_languages()})
    raise LanguageError(f'unknown group "{group}"', f"groups are: {', '.join(groups)}")


def _hint(code: str) -> str:
    word = _fold(code)
    for start in _starts(word):
        if start in _warnings():
            return _warnings()[start]
        if known := _by_spelling().get(start):
            return f'{known.name} is "{known.code}"'
    if any(word == known.group for known in all_languages()):
        return f'the group is "group:{word}"'
    names = (own for known in every_language() for own in (known.code, known.name, known.native))
    near = did_you_mean(word, {_fold(own) for own in names})
    return f"{near} {SEE_ALL}" if near.endswith("?") else SEE_ALL


def _starts(word: str) -> Iterator[str]:
    """Yield the word and what stands before each of its hyphens, the longest first."""
    yield word
    while "-" in word:
        word = word.rpartition("-")[0]
        yield word
