"""A task of the user's own, told by a TOML file: data, columns, templates, words.

docs/evaluate.md has an example of ten lines. What is wrong with the file is told before any data
are read, what is wrong with the data before any model is loaded.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.evaluate.tasks import BLANK, Item, Rules, linter, wording
from bactrian.evaluate.tasks.benchmark import chosen
from bactrian.evaluate.tasks.reading import MEND, Record, find, read
from bactrian.evaluate.tasks.wording import Question, Wording
from bactrian.languages import Language
from bactrian.recipe.sections.section import Section
from bactrian.workspace import Workspace

PLACE = "{language}"


class Columns(Section):
    """What the file calls the parts of a question."""

    id: str = ""
    """The question's own name; where it is empty, the number of the record."""
    options: str | tuple[str, ...] = ""
    """One column with a list of options, or a column for each; labels need none."""
    gold: str = "answer"
    """The right option: its number, its letter, its text, or its label."""
    group: str = ""
    """Part of the task that is reported by itself as well."""
    cluster: str = ""
    """What questions share that are one question in several forms."""


class TaskFile(Section):
    """A task as its file tells it; ``templates``, ``words`` and ``labels`` are the wording's."""

    name: Annotated[str, Field(pattern=r"^[\w-]+$")]
    """What results call it."""
    version: str
    """Raised by hand when prompts or data change."""
    data: str
    """The file, relative to this one; ``{language}`` stands for the code."""
    languages: str = ""
    """Codes; those that have words or labels where it is empty."""
    form: Literal["cloze", "letter", "hybrid"] = "cloze"
    """How the options are asked."""
    metric: Literal["acc", "f1"] = "acc"
    """f1 is for labels, which every question has in the same order."""
    count_from: Literal[0, 1] = 0
    """What a number in ``gold`` counts from."""
    parallel: bool = False
    """Whether an id is the same question in every language."""
    fields: tuple[str, ...]
    """Columns that the templates name."""
    columns: Columns = Columns()
    templates: dict[str, dict[str, str]]
    default: dict[str, str] = Field(default_factory=dict)
    words: dict[str, dict[str, str]] = Field(default_factory=dict)
    labels: dict[str, dict[str, str]] = Field(default_factory=dict)


class Declared:
    """The task of one TOML file."""

    def __init__(self, workspace: Workspace, path: Path) -> None:
        self.workspace = workspace
        self.path = path
        self.file, self.wording = load(path)
        self.name, self.parallel = self.file.name, self.file.parallel
        facts = (("prompt", self.file.version), ("words", self.wording.mark))
        self.rules = Rules(self.file.metric, "together", (*facts, ("form", self.file.form)))

    def languages(self) -> tuple[Language, ...]:
        """Return the languages that the recipe names for this task, else its own that it has."""
        return chosen(self.workspace, self.name, self.name, self.wording.words, self._at_hand)

    def items(self, language: Language) -> Iterator[Item]:
        """Yield the items in the order of the file, the first ``limit`` of them."""
        records = islice(read(self._data(language)), self.workspace.recipe.limit or None)
        for number, record in enumerate(records):
            question = self._question(record, number, language)
            yield wording.ask(question, self.wording, language.code, self.file.form)

    def blank(self, language: Language) -> Item | None:
        """Return the item that asks the labels after empty fields; None where there are none."""
        if self.file.metric != "f1":
            return None
        labels = tuple(self.wording.labels[language.code].values())
        empty = Question(BLANK, dict.fromkeys(self.file.fields, ""), labels, 0)
        item = wording.ask(empty, self.wording, language.code, self.file.form)
        return Item(BLANK, item.context.lstrip(), item.options, 0, item.texts)

    def _data(self, language: Language) -> Path:
        told = self.workspace.recipe.eval.data.get(self.name)
        folder = self.workspace.given(told) if told else self.path.parent
        name = self.file.data.replace(PLACE, language.code)
        found = find(folder, name)
        if found is None:
            raise DataError(f"{folder / name} does not exist", f"mend data in {self.path}")
        return found

    def _at_hand(self, language: Language) -> bool:
        try:
            return self._data(language).is_file()
        except DataError:
            return False

    def _question(self, record: Record, number: int, language: Language) -> Question:
        columns, labels = self.file.columns, self.wording.labels.get(language.code, {})
        options = tuple(labels.values()) if labels else _options(record, columns.options)
        value = record.value(columns.gold)
        gold = _gold(value, options, list(labels), self.file.count_from)
        if gold is None:
            names = ", ".join(labels or options)
            said = f"{columns.gold} is {value!r}, which is none of the options: {names}"
            raise DataError(f"{record.where}: {said}", MEND)
        return Question(
            id=str(record.value(columns.id)) if columns.id else str(number),
            fields={field: record.text(field) for field in self.file.fields},
            options=options,
            gold=gold,
            group=str(record.value(columns.group)) if columns.group else "",
            cluster=str(record.value(columns.cluster)) if columns.cluster else "",
        )


def load(path: Path) -> tuple[TaskFile, Wording]:
    """Read a task file.

    Raises ConfigError for a file that is no TOML, unknown or lacking keys, wrong values, and for
    every fault of the words that linter.py knows.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", "name a task file, or a task") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = 'write lines like key = "value"'
        raise ConfigError(f"{path} is not TOML: {error}", hint) from None
    try:
        file = TaskFile.model_validate(told)
    except ValidationError as error:
        raise _refused(path, error) from None
    words = wording.of_values({key: told[key] for key in wording.KEYS if key in told}, str(path))
    if file.form not in words.templates:
        hint = f"[templates.{file.form}]"
        raise ConfigError(f"{path}: there is no template for {file.form}", hint)
    if not file.labels and not file.columns.options:
        raise ConfigError(
            f"{path}: options are missing", '[columns] options = ["a", "b"], or [labels.en]'
        )
    if file.metric == "f1" and not file.labels:
        raise ConfigError(f"{path}: f1 is for labels, and there are none", 'metric = "acc"')
    linter.refuse(words, str(path))
    return file, words


def _refused(path: Path, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    dotted = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        section = Columns if first["loc"][0] == "columns" else TaskFile
        hint = did_you_mean(str(first["loc"][-1]), section.model_fields)
        return ConfigError(f"{path}: unknown key {dotted}", hint)
    if first["type"] == "missing":
        return ConfigError(f"{path}: {dotted} is lacking", "see docs/evaluate.md")
    said = first["msg"][:1].lower() + first["msg"][1:]
    return ConfigError(f"{path}: {dotted} = {first['input']!r}: {said}", "see docs/evaluate.md")


def _options(record: Record, told: str | tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(told, str):
        return tuple(record.text(column) for column in told)
    listed = record.value(told)
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise DataError(f"{record.where}: {told} is no list of texts", MEND)
    return tuple(text.strip() for text in listed)


def _gold(value: Any, options: tuple[str, ...], labels: list[str], start: int) -> int | None:
    """Return which option is right, None where it is none; a text that is an option comes first."""
    if isinstance(value, str):
        value = value.strip()
        for known in (labels, list(options)):
            if value in known:
                return known.index(value)
        if len(value) == 1 and value.upper() in wording.LETTERS:
            value = wording.LETTERS.index(value.upper()) + start
        elif value.isdecimal():
            value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    place = value - start
    return place if 0 <= place < len(options) else None
