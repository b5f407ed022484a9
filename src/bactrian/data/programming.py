"""Finds instructions about programming, which a translator would break.

Bactrian-X left such instructions in English (Li et al. 2023, section 3.1), by a list of keywords
that was never published. Here the list is ``programming.toml``, and it can be edited. Reads the
English side of a row by patterns; knows nothing of translators or of any other language.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from bactrian.errors import DataError, did_you_mean

_GAP_WORDS = 8
"""Most words between the verb and what it makes: *write a short recursive function*."""
_REACH = 40
"""How far around a find an exception is looked for, in code points."""
_GIVEN = ("following", "given", "this", "these", "provided")
"""Words that show that a text is given, not made."""
_SENTENCE_END = re.compile(r"[.!?;]\s|\n")


Place = Literal["instruction", "input"]


@dataclass(frozen=True, slots=True)
class Match:
    """The evidence that a row is about programming."""

    word: str
    """The word or the code that was found, as written."""
    start: int
    """Where it begins, in code points of the field."""
    end: int
    field: Place


@dataclass(frozen=True)
class Words:
    """The lists of ``programming.toml``, where it stands what each is for."""

    makes: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    talks: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    """``except`` in the file."""
    shapes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    # No slots: cached_property writes to __dict__.

    @cached_property
    def cues(self) -> re.Pattern[str]:
        """Every word that may speak for programming, in one pattern."""
        kinds = ("always", "code", "languages")
        words = "|".join(f"(?P<{kind}>{_any_of(getattr(self, kind))})" for kind in kinds)
        return re.compile(rf"(?<!\w)(?:{words})(?!\w)")

    @cached_property
    def shaped(self) -> re.Pattern[str]:
        """What looks like code."""
        return re.compile("|".join(self.shapes) or "(?!)", re.MULTILINE)

    @cached_property
    def marked(self) -> re.Pattern[str]:
        """What every shape holds: quick to look for."""
        return re.compile("|".join(self.marks))

    @cached_property
    def making(self) -> re.Pattern[str]:
        """A verb that makes something; ``bent`` where it bends to another: *ways to write*."""
        return re.compile(rf"(?P<bent>(?<!\w)to\s)?(?<!\w)(?:{_any_of(self.makes)})(?!\w)")

    @cached_property
    def asking(self) -> re.Pattern[str]:
        """How a sentence begins that prose answers."""
        return re.compile(rf"\W*(?:{_any_of(self.asks)})(?!\w)")

    @cached_property
    def talking(self) -> re.Pattern[str]:
        """Something else that may be made; *the following text* is not made, but given."""
        given = "".join(rf"(?<!\b{word}\s)" for word in _GIVEN)
        return re.compile(rf"(?<!\w){given}(?:{_any_of(self.talks)})(?!\w)")

    @cached_property
    def parting(self) -> re.Pattern[str]:
        """A word that parts a verb from what it makes."""
        return re.compile(rf"(?<!\w)(?:{_any_of(self.between)})(?!\w)")

    @cached_property
    def excepted(self) -> re.Pattern[str]:
        """What is not programming after all."""
        return re.compile(rf"(?<!\w)(?:{_any_of(self.exceptions)})(?!\w)")


def find(instruction: str, input: str = "", words: Words | None = None) -> Match | None:
    """Return what shows that an English task is about programming, or None.

    It is where code is asked for or where code is given: a translation would break it. A
    question about programming that prose answers is not.
    """
    words = words or _builtin()
    for cue in words.cues.finditer(instruction):
        if _counts(cue, words):
            return Match(cue[0], cue.start(), cue.end(), "instruction")
    return _shape(instruction, "instruction", words) or _shape(input, "input", words)


def _shape(text: str, field: Place, words: Words) -> Match | None:
    """The first stretch that looks like code."""
    if words.marked.search(text) and (shape := words.shaped.search(text)):
        return Match(shape[0], shape.start(), shape.end(), field)
    return None


def _counts(cue: re.Match[str], words: Words) -> bool:
    """Whether a cue speaks for programming where it stands."""
    if _is_excepted(cue, words):
        return False
    return cue.lastgroup == "always" or _is_made(cue, words)


def _is_excepted(cue: re.Match[str], words: Words) -> bool:
    near = words.excepted.finditer(cue.string, max(0, cue.start() - _REACH), cue.end() + _REACH)
    return any(found.start() < cue.end() and cue.start() < found.end() for found in near)


def _is_made(cue: re.Match[str], words: Words) -> bool:
    """Whether a verb of the same sentence makes it, and not a text about it."""
    ends = [end.end() for end in _SENTENCE_END.finditer(cue.string, 0, cue.start())]
    before = cue.string[ends[-1] if ends else 0 : cue.start()]
    if words.asking.match(before):
        return False
    for verb in words.making.finditer(before):
        gap = before[verb.end() :]
        if words.talking.search(before if verb["bent"] else gap):
            continue
        if cue.lastgroup == "languages":
            return True
        if len(gap.split()) <= _GAP_WORDS and not words.parting.search(gap):
            return True
    return False


def load(path: Path | None = None) -> Words:
    """Return the built-in word lists, or those of a TOML file laid over them.

    The file adds to the lists of the same name; ``remove`` takes words out of every list, and
    ``builtin = false`` begins with empty lists. Raises DataError naming the file and what in it
    cannot be meant.
    """
    if path is None:
        return _builtin()
    told = _told(path)
    begins = told.pop("builtin", True)
    gone = _words_of(path, "remove", told.pop("remove", []))
    own = _as_words(path, told)
    under = _builtin() if begins else Words()
    if own.shapes and not own.marks:  # the marks are those of the built-in shapes only
        under = replace(under, marks=())
    return _checked(path, _laid_over(under, own, frozenset(gone)))


@lru_cache(maxsize=1)
def _builtin() -> Words:
    path = Path(__file__).with_name("programming.toml")
    return _as_words(path, _told(path))


def _told(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"{path} could not be read: {error.strerror}"
        raise DataError(problem, "name a TOML file with word lists") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise DataError(f"{path}: {error}", "see docs/sources.md for how it is written") from None


def _as_words(path: Path, told: dict[str, Any]) -> Words:
    known = {"except" if f.name == "exceptions" else f.name: f.name for f in fields(Words)}
    for name in told:
        if name not in known:
            hint = did_you_mean(name, [*known, "remove", "builtin"])
            raise DataError(f"{path}: unknown list {name}", hint)
    return Words(**{known[name]: _words_of(path, name, told[name]) for name in told})


def _words_of(path: Path, name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(word, str) and word for word in value):
        return tuple(value)
    raise DataError(f"{path}: {name} has to be a list of words", f'such as {name} = ["cobol"]')


def _laid_over(under: Words, own: Words, gone: frozenset[str]) -> Words:
    both = {f.name: (*getattr(under, f.name), *getattr(own, f.name)) for f in fields(Words)}
    return Words(
        **{name: tuple(word for word in words if word not in gone) for name, words in both.items()}
    )


def _checked(path: Path, words: Words) -> Words:
    """Raises DataError for the first shape or mark that is not a regular expression."""
    for pattern in (*words.shapes, *words.marks, "|".join(words.shapes)):
        try:
            re.compile(pattern, re.MULTILINE)
        except re.error as error:
            hint = "it is a regular expression of Python's re: put \\ before ( [ { * + ? . | ^ $"
            raise DataError(f"{path}: {pattern!r} is not a pattern: {error}", hint) from None
    return words


def _any_of(words: Iterable[str]) -> str:
    """A pattern of words, sorted by first letter: one look decides for most places in a text."""
    by_first: dict[str, list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        first, rest = _word(word)
        by_first.setdefault(first, []).append(rest)
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_first.items()) or "(?!)"


def _word(word: str) -> tuple[str, str]:
    """The patterns of a word's first letter and of the rest; ``*`` is any letters."""
    if word.startswith("*"):
        return r"\w", r"[\w-]*" + _plain(word[1:])
    first = f"[{word[0]}{word[0].upper()}]" if word[0].islower() else re.escape(word[0])
    return first, _plain(word[1:])


def _plain(part: str) -> str:
    return re.escape(part).replace(r"\*", r"[\w-]*").replace(r"\ ", r"\s+")
