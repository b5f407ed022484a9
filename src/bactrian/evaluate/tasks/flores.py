"""How surprised a model is by FLORES-200's sentences (SIB-200's part of it), in bits a byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.evaluate.tasks import Item
from bactrian.evaluate.tasks.benchmark import Benchmark
from bactrian.evaluate.tasks.reading import Hub, Record, from_hub, read
from bactrian.evaluate.tasks.sib200 import HUB_ID, found
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language

TEST, EVERY = "test", "all"


class Flores(Benchmark):
    """Reads the files of SIB-200: the test split, or with ``flores:all`` every sentence.

    A sentence is the text of its item, after nothing; its id is the same in every language.
    """

    task = "flores"
    parallel = True
    forms = (TEST, EVERY)
    metric = "bits_per_byte"
    hub = Hub(HUB_ID)

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the signature says: no words are put around a sentence."""
        return (("prompt", "none"), ("split", self.variant.form))

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of the splits that are asked."""
        path = found(folder, language)
        if path is None:
            raise self.absent(folder, language, f"{language.code}.tsv")
        every = self.variant.form == EVERY
        return (record for record in read(path) if every or record.value("split") == TEST)

    def online(self, language: Language) -> Iterator[Record]:
        """Return the records on the Hub."""
        for split in ("train", "validation", TEST) if self.variant.form == EVERY else (TEST,):
            yield from from_hub(Hub(HUB_ID, language.flores200, split))

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the sentences."""
        for record in records:
            yield Question(str(record.whole("index_id")), {}, (record.text("text"),), 0)

    def ask(self, question: Question, language: Language) -> Item:
        """Return the item of a sentence."""
        return Item(question.id, "", question.options)
