"""EXAMS (Hardalov et al. 2020): school examinations; those with four options, as in Bactrian-X."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bactrian.errors import DataError
from bactrian.evaluate.tasks.benchmark import Benchmark
from bactrian.evaluate.tasks.reading import MEND, Hub, Record, find, from_hub, read
from bactrian.evaluate.tasks.wording import Question
from bactrian.events import emit
from bactrian.languages import Language

SPLITS = ("train", "dev", "test")
OPTIONS = 4
NAMES = {"North Macedonian": "Macedonian"}
"""What the data call a language, where it is not its name here."""
GROUPS = {
    "natural": ("Biology", "Chemistry", "Geology", "Natural Science", "Physics", "Science"),
    "social": (
        "Business",
        "Business & Economics",
        "Citizenship",
        "Economics",
        "Economics & Marketing",
        "Economics Basics (Business)",
        "Economics Basics (Theoretical)",
        "Ethics",
        "Geography",
        "History",
        "Philosophy",
        "Politics",
        "Psychology",
        "Social",
        "Sociology",
    ),
}
"""Subjects by group, as the authors' code has them (src/examsqa/mappings.py); the rest is other."""
GROUP = {subject: group for group, subjects in GROUPS.items() for subject in subjects}


class Exams(Benchmark):
    """Reads train, dev and test, merged (``.jsonl``, ``.gz`` or the original's ``.tar.gz``)."""

    task = "exams"
    hub = Hub("mhardalov/exams", "multilingual")

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of a language in the three splits."""
        return self._of(language, self._files(folder), folder)

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records of a language on the Hub."""
        for split in ("train", "validation", "test"):
            for record in from_hub(Hub("mhardalov/exams", "multilingual", split)):
                if _language(record) == language.name:
                    yield record

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions of four options; which of them are one in several languages is told
        by parallel_questions.jsonl, where it is there."""
        for record in records:
            labels, texts = _choices(record)
            if len(texts) != OPTIONS:
                continue
            key = record.text("answerKey")
            if key not in labels:
                wrong = f"answerKey is {key}, the options are {', '.join(labels)}"
                raise DataError(f"{record.where}: {wrong}", MEND)
            id, stem = record.text("id"), _table(record, "question").get("stem")
            if not isinstance(stem, str) or not stem.strip():
                raise DataError(f"{record.where}: question.stem is no text", MEND)
            group = GROUP.get(str(_table(record, "info").get("subject", "")), "other")
            cluster = self._parallel.get(id, id)
            fields = {"stem": stem.strip()}
            yield Question(id, fields, texts, labels.index(key), group, cluster)

    def has(self, folder: Path, language: Language) -> bool:
        """Whether the folder has the language; the files are read once for all."""
        return language.name in self._present

    @cached_property
    def _present(self) -> frozenset[str]:
        folder = self.folder()
        files = self._files(folder) if folder else []
        return frozenset(_language(record) for path in files for record in read(path))

    @cached_property
    def _parallel(self) -> Mapping[str, str]:
        folder = self.folder()
        path = find(folder, "parallel_questions.jsonl") if folder else None
        if path is None:
            emit("note", text="exams: no parallel_questions.jsonl: translations count as apart")
            return {}
        return parallel(record.values for record in read(path))

    def _files(self, folder: Path) -> list[Path]:
        inside = ("", "data/exams/multilingual/", "multilingual/")
        found = [find(folder, *(f"{at}{split}.jsonl" for at in inside)) for split in SPLITS]
        return [path for path in found if path]

    def _of(self, language: Language, files: list[Path], folder: Path) -> Iterator[Record]:
        found = False
        for path in files:
            for record in read(path):
                if _language(record) == language.name:
                    found = True
                    yield record
        if not found:
            raise self.absent(folder, language, "train.jsonl, dev.jsonl and test.jsonl")


def parallel(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return, for each id that has translations, the least id of all that are one question."""
    least: dict[str, str] = {}

    def root(id: str) -> str:
        while (above := least.setdefault(id, id)) != id:
            least[id] = least[above]
            id = least[id]
        return id

    for row in rows:
        for id, others in row.items():
            for other in others:
                one, two = sorted((root(id), root(other)))
                least[two] = one
    return {id: root(id) for id in list(least)}


def _language(record: Record) -> str:
    name = str(_table(record, "info").get("language", ""))
    return NAMES.get(name, name)


def _table(record: Record, key: str) -> Mapping[str, Any]:
    value = record.value(key)
    if not isinstance(value, dict):
        raise DataError(f"{record.where}: {key} is no table", MEND)
    return value


def _choices(record: Record) -> tuple[list[str], tuple[str, ...]]:
    """Return letters and texts of the options, in the order of the letters."""
    told = _table(record, "question").get("choices")
    if isinstance(told, dict):  # as the Hub has them: a list a column
        columns = (told.get("label", ()), told.get("text", ()))
        told = [{"label": one, "text": two} for one, two in zip(*columns, strict=True)]
    try:
        pairs = sorted((str(one["label"]), str(one["text"]).strip()) for one in told or ())
    except (KeyError, TypeError):
        raise DataError(f"{record.where}: a choice has no label or no text", MEND) from None
    return [label for label, _ in pairs], tuple(text for _, text in pairs)
