"""XCOPA (Ponti et al. 2020): which of two sentences is the cause, or the effect, of a premise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, naming
from bactrian.evaluate.tasks.benchmark import Benchmark
from bactrian.evaluate.tasks.reading import MEND, Hub, Record, find, from_hub, read
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language

STOPS = ".。．!！?？։۔।"


class Xcopa(Benchmark):
    """Reads ``<language>.jsonl`` or the original's ``<language>/test.<language>.jsonl``."""

    task = "xcopa"
    parallel = True
    protocols = (naming.NATIVE, naming.LM_EVAL)
    hub = Hub("cambridgeltl/xcopa")

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of the test set."""
        code = language.code
        inside = f"{code}/test.{code}.jsonl"
        path = find(folder, f"{code}.jsonl", inside, f"data/{inside}")
        if path is None:
            raise self.absent(folder, language, f"{code}.jsonl (test split)")
        return read(path)

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records of the test set on the Hub."""
        return from_hub(Hub("cambridgeltl/xcopa", language.code))

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions; the connector follows from what is asked."""
        for record in records:
            asked, label = record.text("question"), record.whole("label")
            if asked not in ("cause", "effect"):
                wrong = f"question is {asked!r}, neither cause nor effect"
                raise DataError(f"{record.where}: {wrong}", MEND)
            if label not in (0, 1):
                raise DataError(f"{record.where}: label is {label}, neither 0 nor 1", MEND)
            id = str(record.whole("idx"))
            text = record.text if self.variant.protocol == naming.NATIVE else record.raw
            choices = (text("choice1"), text("choice2"))
            fields = {"premise": record.text("premise"), "asked": asked}
            yield Question(id, fields, choices, label, cluster=id)

    def ask(self, question: Question, language: Language) -> Item:
        """Return the item in the native wording, or as lm-evaluation-harness has it."""
        premise, asked = question.fields["premise"], question.fields["asked"]
        connector = self.wording.words[language.code][asked]
        if self.variant.protocol == naming.LM_EVAL:
            return _as_lm_eval(question, premise, connector)
        stem = premise[:-1].rstrip() if premise[-1:] in STOPS else premise
        small = tuple(_decapitalised(text, language.code) for text in question.options)
        fields = {"premise": stem, "connector": connector}
        told = Question(question.id, fields, small, question.gold, cluster=question.cluster)
        return super().ask(told, language)


def _as_lm_eval(question: Question, premise: str, connector: str) -> Item:
    """Return the item of lm-eval 0.4.13, faults included.

    The premise's last character goes whatever it is (Thai and Tamil lose a letter), the first
    letter is made small by no language's rules (Turkish I and İ), and a space stands everywhere.
    """
    choices = tuple(text[0].lower() + text[1:] for text in question.options)
    return Item(
        id=question.id,
        context=f"{premise[:-1]} {connector}",
        options=tuple(f" {choice}" for choice in choices),
        gold=question.gold,
        texts=choices,
        cluster=question.cluster,
    )


def _decapitalised(text: str, language: str) -> str:
    """Return the text with a small first letter; Turkish has its own i."""
    first = text[:1]
    if language in ("tr", "az"):
        first = {"I": "ı", "İ": "i"}.get(first, first)
    return first.lower() + text[1:]
