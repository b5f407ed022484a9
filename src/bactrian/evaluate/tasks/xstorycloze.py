"""XStoryCloze (Lin et al. 2022): which of two sentences ends a story of four."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, naming
from bactrian.evaluate.tasks.benchmark import Benchmark
from bactrian.evaluate.tasks.reading import MEND, Hub, Record, find, from_hub, read
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language

PUBLISHED = {
    "id": "InputStoryid",
    "sentences": tuple(f"InputSentence{number}" for number in range(1, 5)),
    "endings": ("RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2"),
    "answer": "AnswerRightEnding",
}
"""Columns of the published TSV."""
ON_THE_HUB = {
    "id": "story_id",
    "sentences": tuple(f"input_sentence_{number}" for number in range(1, 5)),
    "endings": ("sentence_quiz1", "sentence_quiz2"),
    "answer": "answer_right_ending",
}
"""Keys of the Hub's records, and of JSON lines made from them."""


class XStoryCloze(Benchmark):
    """Reads ``<language>.jsonl``, ``<language>.tsv``, or the published TSV of the eval split."""

    task = "xstorycloze"
    parallel = True
    protocols = (naming.NATIVE, naming.LM_EVAL)
    hub = Hub("juletxara/xstory_cloze", split="eval")

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of the eval split."""
        code = language.code
        published = f"spring2016.val.{code}.tsv.split_20_80_eval.tsv"
        path = find(folder, f"{code}.jsonl", f"{code}.tsv", published)
        path = path or next(iter(sorted(folder.glob(f"storycloze.{code}.*tsv*"))), None)
        if path is None:
            raise self.absent(folder, language, f"{code}.jsonl or {published}")
        return read(path)

    def online(self, language: Language) -> Iterable[Record]:
        """Return the records of the eval split on the Hub."""
        return from_hub(Hub("juletxara/xstory_cloze", language.code, "eval"))

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions; sentences stand apart as the protocol has it."""
        native = self.variant.protocol == naming.NATIVE
        between = self.wording.words[language.code]["between"] if native else " "
        for record in records:
            keys = PUBLISHED if PUBLISHED["id"] in record.values else ON_THE_HUB
            answer = record.whole(str(keys["answer"]))
            if answer not in (1, 2):
                wrong = f"{keys['answer']} is {answer}, neither 1 nor 2"
                raise DataError(f"{record.where}: {wrong}", MEND)
            id = record.text(str(keys["id"]))
            text = record.text if native else record.raw
            story = between.join(text(key) for key in keys["sentences"])
            endings = tuple(text(key) for key in keys["endings"])
            yield Question(id, {"story": story}, endings, answer - 1, cluster=id)

    def ask(self, question: Question, language: Language) -> Item:
        """Return the item; lm-eval puts a space before the ending in every language."""
        if self.variant.protocol == naming.NATIVE:
            return super().ask(question, language)
        return Item(
            id=question.id,
            context=question.fields["story"],
            options=tuple(f" {ending}" for ending in question.options),
            gold=question.gold,
            texts=question.options,
            cluster=question.cluster,
        )
