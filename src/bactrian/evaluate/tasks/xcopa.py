"""XCOPA (Ponti et al. 2020): which of two sentences is the cause, or the effect, of a premise."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import Item, Rules
from bactrian.languages import Language, parse
from bactrian.workspace import Workspace

STOPS = ".。．!！?？։۔।"
KEYS = ("premise", "choice1", "choice2", "question", "label", "idx")


@dataclass(frozen=True, slots=True)
class Connectors:
    """The words that join premise and option, and what stands around them."""

    cause: str
    effect: str
    before: str = " "
    after: str = " "

    def of(self, question: Literal["cause", "effect"]) -> str:
        """Return the connector of a question."""
        return self.cause if question == "cause" else self.effect


@lru_cache
def prompts() -> tuple[str, dict[str, Connectors]]:
    """Return the version of the prompt file and the connectors by language."""
    told = tomllib.loads((files(__package__) / "xcopa.toml").read_text(encoding="utf-8"))
    version = told.pop("version")
    return version, {code: Connectors(**words) for code, words in told.items()}


def item(record: dict[str, Any], words: Connectors, language: str) -> Item:
    """Return the item of one XCOPA record."""
    premise = record["premise"].strip()
    stem = premise[:-1].rstrip() if premise[-1:] in STOPS else premise
    context = f"{stem}{words.before}{words.of(record['question'])}"
    choices = tuple(_decapitalised(record[key].strip(), language) for key in KEYS[1:3])
    return Item(
        id=str(record["idx"]),
        context=context,
        options=tuple(words.after + choice for choice in choices),
        gold=record["label"],
        texts=choices,
    )


class Xcopa:
    """Reads ``<language>.jsonl`` or the original's ``<language>/test.<language>.jsonl``."""

    name = "xcopa"
    parallel = True

    def __init__(self, workspace: Workspace, tokenizer: Any = None) -> None:
        self.workspace = workspace
        self.rules = Rules("acc", "together", (("prompt", prompts()[0]), ("shots", "0")))

    def languages(self) -> tuple[Language, ...]:
        """Return the languages that the recipe names for this task, else its own that XCOPA has."""
        told = self.workspace.recipe.eval.languages.get(self.name)
        known = prompts()[1]
        if not told:
            return tuple(lang for lang in self.workspace.languages if lang.code in known)
        languages = parse(told)
        if strange := [language for language in languages if language.code not in known]:
            raise ConfigError(
                f"xcopa has no {strange[0].name} ({strange[0].code})",
                f"its languages are {', '.join(known)}",
            )
        return languages

    def items(self, language: Language) -> Iterator[Item]:
        """Yield the questions in the order of the file, the first ``limit`` of them."""
        words = prompts()[1][language.code]
        limit = self.workspace.recipe.limit
        for number, record in enumerate(_records(self._file(language)), start=1):
            if limit and number > limit:
                return
            yield item(record, words, language.code)

    def _file(self, language: Language) -> Path:
        told = self.workspace.recipe.eval.data.get(self.name)
        if not told:
            raise ConfigError(
                "the recipe does not say where XCOPA lies", '[eval.data] xcopa = "folder"'
            )
        folder, code = self.workspace.given(told), language.code
        for path in (folder / f"{code}.jsonl", folder / code / f"test.{code}.jsonl"):
            if path.is_file():
                return path
        raise DataError(
            f"{folder} has no XCOPA in {language.name}", f"put {code}.jsonl there (test split)"
        )


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8", "mend the line") from None
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: {error.msg}", "mend the line") from None
            if wrong := _wrong(record):
                raise DataError(
                    f"{path}, line {number}: {wrong}", f"an XCOPA record has {', '.join(KEYS)}"
                )
            yield record


def _wrong(record: Any) -> str:
    """Return what is wrong with a record, or nothing."""
    if not isinstance(record, dict):
        return "this is no record"
    if lacking := [key for key in KEYS if key not in record]:
        return f"{lacking[0]} is lacking"
    for key in KEYS[:3]:
        if not isinstance(record[key], str) or not record[key].strip():
            return f"{key} is no text"
    if record["question"] not in ("cause", "effect"):
        return f"question is {record['question']!r}, neither cause nor effect"
    if record["label"] not in (0, 1):
        return f"label is {record['label']!r}, neither 0 nor 1"
    return ""


def _decapitalised(text: str, language: str) -> str:
    """Return the text with a small first letter; Turkish has its own i."""
    first = text[:1]
    if language in ("tr", "az"):
        first = {"I": "ı", "İ": "i"}.get(first, first)
    return first.lower() + text[1:]
