"""How a task is asked: its templates and, for every language, the words that fill them.

Reads the TOML files in words/ beside it, and a user's own of the same form. Knows no data.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any

from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.evaluate.tasks import Item
from bactrian.evaluate.tasks.naming import CLOZE, LETTER
from bactrian.languages import parse
from bactrian.table import hash_of

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")
LETTERS = "ABCDEFGHIJ"
MADE = ("options", "option", "letter")
"""Placeholders that a question's options fill: all of them with letters, and each by itself."""
KEYS = ("version", "languages", "fields", "used", "templates", "default", "words", "labels")
COMMON = "common"


@dataclass(frozen=True, slots=True)
class Question:
    """What a data set says of one question, before it is put into words."""

    id: str
    fields: Mapping[str, str]
    options: tuple[str, ...]
    gold: int
    group: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """The text before the options, and the text of each."""

    context: str
    option: str = "{space}{option}"


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything that can be said in asking one task."""

    version: str
    fields: tuple[str, ...]
    """What a record gives to the templates."""
    used: tuple[str, ...]
    """Words that the task's own code puts together, so that no template names them."""
    templates: Mapping[str, Template]
    """By formulation."""
    own: Mapping[str, Mapping[str, str]]
    """The words that the file itself has, by language; ``default`` is for all."""
    words: Mapping[str, Mapping[str, str]]
    """Every word by language code: the common ones, the file's defaults, the language's own."""
    labels: Mapping[str, Mapping[str, str]]
    """Where every item has the same options: what the data call them, to what a reader sees."""

    @property
    def mark(self) -> str:
        """Hash of every template and word, for signatures."""
        templates = [[name, one.context, one.option] for name, one in self.templates.items()]
        words = {code: dict(words) for code, words in self.words.items()}
        labels = {code: list(labels.items()) for code, labels in self.labels.items()}
        return hash_of(templates, words, labels)[:8]


def of_values(told: Mapping[str, Any], where: str) -> Wording:
    """Return the wording that a TOML file tells; ``where`` names the file in errors.

    Raises ConfigError for unknown keys and for values of another kind; what the words themselves
    have to be is linter.py's.
    """
    _known(told, KEYS, where)
    templates = _tables(told, "templates", where)
    for form, table in templates.items():
        _known(table, ("context", "option"), f"{where}: templates.{form}")
        if "context" not in table:
            raise ConfigError(f"{where}: templates.{form} has no context", 'context = "{stem}"')
    own = _tables(told, "words", where)
    labels = _tables(told, "labels", where)
    default = _texts(told.get("default", {}), f"{where}: default")
    spoken = told.get("languages", "")
    listed = [one.code for one in parse(spoken)] if spoken else []
    codes = dict.fromkeys([*listed, *own, *labels])
    shared, common = ({}, {}) if where == COMMON else _common()
    return Wording(
        version=str(told.get("version", "")),
        fields=tuple(told.get("fields", ())),
        used=tuple(told.get("used", ())),
        templates={form: Template(**table) for form, table in templates.items()},
        own={"default": default, **own},
        words={
            code: {**shared, **common.get(code, {}), **default, **own.get(code, {})}
            for code in codes
        },
        labels=labels,
    )


@lru_cache
def builtin(name: str) -> Wording:
    """Return the wording of a task that is part of the package."""
    return of_values(_told(name), name)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its placeholders filled; ``{{`` and ``}}`` are braces."""

    def filled(found: re.Match[str]) -> str:
        return values[found[1]] if found[1] else found[0][0]

    return PLACEHOLDER.sub(filled, template)


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names in braces, in order."""
    return tuple(found[1] for found in PLACEHOLDER.finditer(template) if found[1])


def ask(question: Question, wording: Wording, code: str, form: str) -> Item:
    """Return the item: the question in one language and one formulation.

    ``texts``, on which lengths are measured, are the options without what stands before them.
    Raises DataError for more options than there are letters, where letters are shown.
    """
    template, words = wording.templates[form], wording.words[code]
    letters = words.get("letters", LETTERS)[: len(question.options)]
    if form != CLOZE and len(letters) < len(question.options):
        raise DataError(
            f"{question.id} has {len(question.options)} options, there are {len(letters)} letters",
            "ask it as a cloze",
        )
    lettered = tuple(zip_longest(letters, question.options, fillvalue=""))
    lined = "\n".join(f"{letter}. {text}" for letter, text in lettered)
    values = {**words, **question.fields, "options": lined}
    shown = letters if form == LETTER else question.options
    each = [{**values, "option": option, "letter": letter} for letter, option in lettered]
    return Item(
        id=question.id,
        context=fill(template.context, values),
        options=tuple(fill(template.option, one) for one in each),
        gold=question.gold,
        texts=tuple(shown),
        group=question.group,
        cluster=question.cluster,
    )


# -- reading ----------------------------------------------------------------------------------


def _told(name: str) -> dict[str, Any]:
    path = files("bactrian.evaluate.tasks") / "words" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@lru_cache
def _common() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the words that many tasks need: those of every language, and each language's own."""
    told = _told(COMMON)
    return _texts(told["default"], COMMON), _tables(told, "words", COMMON)


def _tables(told: Mapping[str, Any], key: str, where: str) -> dict[str, dict[str, str]]:
    tables = told.get(key, {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{where}: {key} is no table", f"write [{key}.…] with its values below")
    return {name: _texts(table, f"{where}: {key}.{name}") for name, table in tables.items()}


def _texts(table: Any, where: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        raise ConfigError(f"{where} is no table of texts", 'write lines like answer = "Jibu"')
    return dict(table)


def _known(told: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    known = tuple(keys)
    if strange := [key for key in told if key not in known]:
        raise ConfigError(f"{where}: unknown key {strange[0]}", did_you_mean(strange[0], known))
