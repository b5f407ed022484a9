"""SIB-200 (Adelani et al. 2024): what a sentence is about, in all 52 languages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.evaluate.tasks.benchmark import Labelling
from bactrian.evaluate.tasks.reading import Hub, Record, find, from_hub, read
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language

HUB_ID = "Davlan/sib200"


class Sib200(Labelling):
    """Reads ``<language>.tsv`` (index_id, split, category, text); the test split is asked."""

    task = "sib200"
    parallel = True
    hub = Hub(HUB_ID)

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of the test split."""
        path = found(folder, language)
        if path is None:
            raise self.absent(folder, language, f"{language.code}.tsv")
        return (record for record in read(path) if record.value("split") == "test")

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records of the test split on the Hub."""
        return from_hub(Hub(HUB_ID, language.flores200))

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions."""
        for record in records:
            gold = self.labelled(record, "category", language)
            id = str(record.whole("index_id"))
            yield self.question(id, record.text("text"), gold, language)


def found(folder: Path, language: Language) -> Path | None:
    """Return the file of a language, by its code or by FLORES-200's name of it."""
    return find(folder, f"{language.code}.tsv", f"{language.flores200}.tsv")
