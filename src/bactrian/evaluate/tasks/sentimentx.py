"""SentimentX (Li et al. 2023): positive, neutral or negative, in the paper's eight languages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from bactrian.evaluate.tasks.benchmark import Labelling
from bactrian.evaluate.tasks.reading import Record, find, read
from bactrian.evaluate.tasks.sentiment_sources import published
from bactrian.evaluate.tasks.wording import Question
from bactrian.languages import Language, get

PARTS = {
    "ar": (("mawqif",), "test"),
    "en": (("nusax",), "test"),
    "es": (("tass2020-cr", "tass2020-es", "tass2020-mx", "tass2020-pe", "tass2020-uy"), "dev"),
    "id": (("nusax",), "test"),
    "ja": (("jrte-pn",), "test"),
    "jv": (("nusax",), "test"),
    "ru": (("SentiRuEval-2016-banks", "SentiRuEval-2016-telecoms"), "test"),
    "su": (("nusax",), "test"),
    "sw": (("afrisenti",), "test"),
}
"""Sources and split of each language; the test answers of TASS are not public."""
PARALLEL = ("nusax",)
"""Sources in which an id is the same sentence in every language."""
SAMPLED = {"es": 1000, "ru": 1000}
"""Where the paper took some at random; which, it does not say."""
SEED = "sentimentx-1"


class SentimentX(Labelling):
    """Reads ``<language>.jsonl`` (id, text, label), ``all.jsonl`` (lang, source, split, id, text,
    label), or the sources as they are published; of Spanish and Russian a fixed thousand, chosen
    by a hash of their ids."""

    task = "sentimentx"

    def local(self, folder: Path, language: Language) -> Iterable[Record]:
        """Return the records of a language."""
        if own := find(folder, f"{language.code}.jsonl", f"{language.code}.tsv"):
            return read(own)
        if path := find(folder, "all.jsonl"):
            return _of(path, language)
        found = published(folder, language.code)
        if found is None:
            wanted = f"all.jsonl.gz, {language.code}.jsonl or {language.code}/ with its source"
            raise self.absent(folder, language, wanted)
        return found

    def read(self, records: Iterable[Record], language: Language) -> Iterator[Question]:
        """Yield the questions; where the paper sampled, the fixed sample in the order it came."""
        found: list[tuple[str, Question]] = []
        for record in records:
            source, id = str(record.values.get("source", "")), record.text("id")
            name = f"{source}/{id}" if len(PARTS[language.code][0]) > 1 and source else id
            same = f"{source}/{id}" if source in PARALLEL else ""
            gold = self.labelled(record, "label", language)
            question = self.question(name, record.text("text"), gold, language, same)
            found.append((_rank(language.code, name), question))
        size = SAMPLED.get(language.code, len(found))
        last = sorted(rank for rank, _ in found)[:size][-1:]
        yield from (question for rank, question in found if [rank] <= last)


def _of(path: Path, language: Language) -> Iterator[Record]:
    sources, split = PARTS[language.code]
    for record in read(path):
        if record.value("source") not in sources or record.value("split") != split:
            continue
        if get(record.text("lang")) == language:
            yield record


def _rank(code: str, id: str) -> str:
    """Return what orders ids at random, the same on every machine and in every order of lines."""
    return hashlib.blake2b(f"{SEED}/{code}/{id}".encode(), digest_size=16).hexdigest()
