"""XWinograd (Muennighoff et al. 2022): which of two names the gap in a sentence stands for.

Partial scoring (Trinh and Le 2018): the text after the gap, given the sentence up to each name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, naming
from bactrian.evaluate.tasks.benchmark import Benchmark
from bactrian.evaluate.tasks.cluewsc import schemas
from bactrian.evaluate.tasks.reading import MEND, Hub, Record, find, from_hub, read
from bactrian.evaluate.tasks.winograd import COLUMNS, gapped
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language

GAP = "_"
NAMES = {"ja": "jp"}
"""What the benchmark calls a language, where it is not the code."""
CLUEWSC = ("train_few_all.json", "dev_few_all.json", "test_public.json")


class XWinograd(Benchmark):
    """Reads ``<language>.jsonl`` or ``.tsv`` (sentence, option1, option2, answer), else the
    original ``dataset.tsv``; Chinese from CLUEWSC as well, where the folder has it."""

    task = "xwinograd"
    forms = ("cloze",)
    protocols = (naming.NATIVE, naming.LM_EVAL)
    hub = Hub("Muennighoff/xwinograd")

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records, each with sentence, two options and answer."""
        name = NAMES.get(language.code, language.code)
        known = [f"{where}{name}{kind}" for where in ("", "test/") for kind in (".jsonl", ".tsv")]
        if path := find(folder, *known):
            return read(path)
        return self._original(folder, language, name)

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records on the Hub."""
        return from_hub(Hub("Muennighoff/xwinograd", NAMES.get(language.code, language.code)))

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions; an id is the place in the data, as they have none."""
        for number, record in enumerate(records):
            sentence = record.value("sentence")
            if not isinstance(sentence, str) or sentence.count(GAP) < 1:
                raise DataError(f"{record.where}: sentence has no gap {GAP}", MEND)
            answer = record.whole("answer")
            if answer not in (1, 2):
                raise DataError(f"{record.where}: answer is {answer}, neither 1 nor 2", MEND)
            names = (record.text("option1"), record.text("option2"))
            # two sentences that differ in one word ask for the same two names
            pair = " / ".join(sorted(name.casefold() for name in names))
            yield Question(str(number), {"sentence": sentence}, names, answer - 1, cluster=pair)

    def ask(self, question: Question, language: Language) -> Item:
        """Return the item: one continuation, a context for each name.

        lm-eval puts a space after the gap in every language; natively the text after it is as it
        stands, and where nothing follows, the names themselves are scored.
        """
        before, _, after = question.fields["sentence"].partition(GAP)
        contexts = tuple(before + name for name in question.options)
        same = (question.gold, (), contexts, "", question.cluster)
        if self.variant.protocol == naming.LM_EVAL:
            return Item(question.id, "", (f" {after.strip()}",) * 2, *same)
        if after.strip():
            return Item(question.id, "", (after.rstrip(),) * 2, *same)
        stem = before.rstrip()
        options = tuple(before[len(stem) :] + name for name in question.options)
        return Item(
            question.id, stem, options, question.gold, question.options, cluster=question.cluster
        )

    def _original(self, folder: Path, language: Language, name: str) -> Iterator[Record]:
        found = False
        if path := find(folder, "dataset.tsv"):
            for record in read(path, COLUMNS):
                if record.value("language") == name:
                    found = True
                    yield gapped(record, GAP)
        clue = [path for path in (folder / "cluewsc" / file for file in CLUEWSC) if path.is_file()]
        if language.code == "zh" and clue:
            found = True
            yield from schemas(clue, GAP)
        if not found:
            raise self.absent(folder, language, f"{name}.jsonl or dataset.tsv.gz")
