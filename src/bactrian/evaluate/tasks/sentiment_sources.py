"""The files of SentimentX' eight sources as their authors publish them, as records of one shape.

A folder a language, ``<language>/<file>``: Mawqif (ar), NusaX (id, jv, su, en), TASS 2020 (es),
JRTE (ja), SentiRuEval 2016 (ru), AfriSenti (sw). Each becomes source, id, text and label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from bactrian.errors import DataError
from bactrian.evaluate.tasks.reading import MEND, Record, find, opened, read

LABELS = {
    "positive": "positive",
    "neutral": "neutral",
    "negative": "negative",
    "1": "positive",
    "0": "neutral",
    "-1": "negative",
    "p": "positive",
    "neu": "neutral",
    "n": "negative",
}
"""What the sources write, in small letters."""
COUNTRIES = ("cr", "es", "mx", "pe", "uy")
RUSSIAN = ("banks", "telecoms")
NOT_COMPANIES = ("id", "twitid", "date", "text")
Read = Callable[[Path], Iterator[Record]]


def published(folder: Path, code: str) -> Iterator[Record] | None:
    """Return the records of a language from the authors' own files, None where they are not there.

    Raises DataError for a file that is damaged, and a label that its source does not have.
    """
    inside = folder / code
    reader = READERS.get(code)
    if reader is None or not inside.is_dir():
        return None
    records = reader(inside)
    first = next(records, None)
    return None if first is None else _with(first, records)


def _with(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _mawqif(folder: Path) -> Iterator[Record]:
    for record in _read(folder, "Mawqif_AllTargets_Test.csv"):
        yield _made(record, "mawqif", record.text("ID"), record.text("sentiment"))


def _nusax(folder: Path) -> Iterator[Record]:
    for record in _read(folder, "nusax_test.csv", "test.csv"):
        yield _made(record, "nusax", record.text("id"), record.text("label"))


def _tass(folder: Path) -> Iterator[Record]:
    for country in COUNTRIES:
        for record in _read(folder, f"dev/{country}.tsv", columns=("id", "text", "label")):
            source = f"tass2020-{country}"
            yield _made(record, source, record.text("id"), record.text("label"))


def _jrte(folder: Path) -> Iterator[Record]:
    for record in _read(folder, "pn.tsv", columns=("id", "label", "text", "votes", "split")):
        if record.text("split") == "test":
            yield _made(record, "jrte-pn", record.text("id"), record.text("label"))


def _afrisenti(folder: Path) -> Iterator[Record]:
    for number, record in enumerate(_read(folder, "afrisenti_test.tsv", "test.tsv")):
        values = {"text": record.value("tweet")}
        told = Record(record.where, values)
        yield _made(told, "afrisenti", str(number), record.text("label"))


def _sentirueval(folder: Path) -> Iterator[Record]:
    """Yield the tweets of which all companies that are judged are judged alike."""
    for theme in RUSSIAN:
        path = find(folder, f"SentiRuEval-2016-{theme}.test_etalon.xml", f"{theme}_test_etalon.xml")
        for record in _tweets(path) if path else ():
            judged = {
                value
                for name, value in record.values.items()
                if name not in NOT_COMPANIES and value not in (None, "", "NULL")
            }
            if len(judged) == 1:
                source = f"SentiRuEval-2016-{theme}"
                yield _made(record, source, record.text("twitid"), judged.pop())


def _tweets(path: Path) -> Iterator[Record]:
    """Yield the rows of a table in phpMyAdmin's XML, one at a time."""
    try:
        with opened(path) as file:
            for number, (_, element) in enumerate(ElementTree.iterparse(file), start=1):
                if element.tag == "table":
                    cells = {str(cell.get("name")): cell.text for cell in element}
                    yield Record(f"{path}, element {number}", cells)
                    element.clear()
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is cut short or damaged: {error}", "fetch it again") from None


def _read(folder: Path, *names: str, columns: tuple[str, ...] = ()) -> Iterator[Record]:
    path = find(folder, *names)
    return read(path, columns) if path else iter(())


def _made(record: Record, source: str, id: str, label: str) -> Record:
    if (known := LABELS.get(label.strip().lower())) is None:
        raise DataError(f"{record.where}: {source} has no label {label!r}", MEND)
    text = record.value("text")
    return Record(record.where, {"source": source, "id": id, "text": text, "label": known})


READERS: dict[str, Read] = {
    "ar": _mawqif,
    "en": _nusax,
    "es": _tass,
    "id": _nusax,
    "ja": _jrte,
    "jv": _nusax,
    "ru": _sentirueval,
    "su": _nusax,
    "sw": _afrisenti,
}
