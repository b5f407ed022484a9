"""What the benchmarks of questions share: languages, place of the data, wording, limit.

A benchmark gives its name, its data sets and how a record becomes a question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import BLANK, Item, Rules, linter, naming, wording
from bactrian.evaluate.tasks.reading import MEND, Hub, Record, from_hub
from bactrian.evaluate.tasks.wording import Question
from bactrian.events import emit
from bactrian.languages import Language, get, parse
from bactrian.workspace import Workspace

HUB = "hub"
"""In place of a folder in ``[eval.data]``: from the Hub, which needs ``network = true``."""


class Benchmark(ABC):
    """Questions with options, asked in the words of a prompt file."""

    task: ClassVar[str]
    """Registered name, and name of the prompt file."""
    parallel = False
    forms: ClassVar[tuple[str, ...]] = naming.FORMS
    protocols: ClassVar[tuple[str, ...]] = (naming.NATIVE,)
    metric: ClassVar[Literal["acc", "bits_per_byte", "f1"]] = "acc"
    hub: ClassVar[Hub | None] = None

    def __init__(self, workspace: Workspace, tokenizer: Any = None, told: str = "") -> None:
        self.workspace = workspace
        self.variant = naming.variant(self.task, told, self.forms, self.protocols)
        self.name = self.variant.name
        self.wording = wording.builtin(self.task)
        linter.refuse(self.wording, f"words/{self.task}.toml")
        self.rules = Rules(self.metric, "together", self.facts())

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the signature says of the way of asking."""
        native = self.variant.protocol == naming.NATIVE
        prompt = self.wording.version if native else f"{self.variant.protocol}-1.0"
        words = (("words", self.wording.mark),) if native else ()
        return (("prompt", prompt), *words, ("form", self.variant.form), ("shots", "0"))

    def languages(self) -> tuple[Language, ...]:
        """Return the languages that the recipe names for this task, else its own that it has."""
        return chosen(self.workspace, self.name, self.task, self.wording.words, self._at_hand)

    def items(self, language: Language) -> Iterator[Item]:
        """Yield the questions in the order of the data, the first ``limit`` of them."""
        limit = self.workspace.recipe.limit or None
        return islice(map(self._asked(language), self.questions(language)), limit)

    def questions(self, language: Language) -> Iterator[Question]:
        """Yield the questions of a language; DataError where there are none or one is damaged."""
        folder = self.folder()
        records = self.online(language) if folder is None else self.local(folder, language)
        return self.read(records, language)

    @abstractmethod
    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions of a language that stand in the records."""

    @abstractmethod
    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of a language in a folder; DataError where it has none."""

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records of a language on the Hub."""
        if self.hub is None:
            raise ConfigError(f"{self.task} is not on the Hub", f'[eval.data] {self.task} = "…"')
        return from_hub(self.hub)

    def ask(self, question: Question, language: Language) -> Item:
        """Return the item of a question; for a benchmark whose prompts no template can say."""
        return wording.ask(question, self.wording, language.code, self.variant.form)

    def has(self, folder: Path, language: Language) -> bool:
        """Whether the folder has the language."""
        try:
            return next(iter(self.local(folder, language)), None) is not None
        except DataError:
            return False

    def folder(self) -> Path | None:
        """Return where the data lie, None for the Hub; ConfigError where nothing says so."""
        data = self.workspace.recipe.eval.data
        told = data.get(self.name) or data.get(self.task)
        if not told:
            raise ConfigError(
                f"the recipe does not say where the data of {self.task} lie",
                f'[eval.data] {self.task} = "folder"'
                + (f', or "{HUB}" with network = true' if self.hub else ""),
            )
        if told != HUB:
            return self.workspace.given(told)
        if not self.workspace.recipe.network:
            raise ConfigError(
                f'[eval.data] {self.task} = "{HUB}" needs the network, which the recipe keeps off',
                "set network = true in the recipe, or download the data and name the folder",
            )
        return None

    def absent(self, folder: Path, language: Language, wanted: str) -> DataError:
        """Return the error of a language that the folder does not have."""
        return DataError(f"{folder} has no {self.task} in {language.name}", f"put {wanted} there")

    def _asked(self, language: Language) -> Callable[[Question], Item]:
        return lambda question: self.ask(question, language)

    def _at_hand(self, language: Language) -> bool:
        folder = self.folder()
        return folder is None or self.has(folder, language)


class Labelling(Benchmark):
    """Texts with one of a few labels, which are translated; every item has the same options."""

    metric = "f1"
    forms = ("cloze",)
    field: ClassVar[str] = "text"

    def labelled(self, record: Record, key: str, language: Language) -> int:
        """Return the place of a record's label; DataError for one that the task does not have."""
        names = tuple(self.wording.labels[language.code])
        if (label := record.text(key)) not in names:
            wrong = f"{key} is {label!r}, none of {', '.join(names)}"
            raise DataError(f"{record.where}: {wrong}", MEND)
        return names.index(label)

    def question(
        self, id: str, text: str, gold: int, language: Language, cluster: str = ""
    ) -> Question:
        """Return the question of a text: which label is its own."""
        labels = tuple(self.wording.labels[language.code].values())
        return Question(id, {self.field: text}, labels, gold, cluster=cluster)

    def blank(self, language: Language) -> Item:
        """Return the item that asks the labels after no text at all, for a calibrated score."""
        item = self.ask(self.question(BLANK, "", 0, language), language)
        return Item(BLANK, item.context.lstrip(), item.options, 0, item.texts)


def chosen(
    workspace: Workspace,
    name: str,
    task: str,
    known: Collection[str],
    at_hand: Callable[[Language], bool],
) -> tuple[Language, ...]:
    """Return the languages to measure a task in.

    What ``[eval.languages]`` says for it, else those of the recipe that it has. ``all`` is every
    language of the task whose data are at hand; the others are told. Raises ConfigError for one
    that the task does not have, and where none is left.
    """
    told = workspace.recipe.eval.languages
    own = told.get(name) or told.get(task)
    if (own or workspace.recipe.languages).strip() == "all":
        return _every(name, known, at_hand)
    languages = parse(own) if own else workspace.languages
    strange = [language for language in languages if language.code not in known]
    hint = f"its languages are {', '.join(known)}"
    if own and strange:
        raise ConfigError(f"{task} has no {strange[0].name} ({strange[0].code})", hint)
    left = tuple(language for language in languages if language.code in known)
    if not left:
        asked = ", ".join(language.code for language in languages)
        problem = f"{task} has none of the recipe's languages ({asked})"
        raise ConfigError(problem, f'{hint}: [eval.languages] {task} = "all", or leave {task} out')
    if strange:
        emit("note", text=f"{name}: not in {', '.join(language.code for language in strange)}")
    return left


def _every(
    name: str, known: Collection[str], at_hand: Callable[[Language], bool]
) -> tuple[Language, ...]:
    found = {code: at_hand(get(code)) for code in known}
    if absent := [code for code, there in found.items() if not there]:
        emit("note", text=f"{name}: no data for {', '.join(absent)}")
    if not any(found.values()):
        raise ConfigError(f"there are no data of {name} in any language", "see to [eval.data]")
    return tuple(get(code) for code, there in found.items() if there)
