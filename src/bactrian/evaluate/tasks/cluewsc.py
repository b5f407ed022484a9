"""Two-option schemas from CLUEWSC (Xu et al. 2020), the raw material of the Chinese XWinograd.

CLUEWSC asks of one name at a time whether a pronoun means it; rows about the same pronoun of the
same text, one of which says yes and one no, are one question with two options.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bactrian.errors import DataError
from bactrian.evaluate.tasks.reading import MEND, Record, read

ANSWERS = {"true": True, "false": False, True: True, False: False}


def schemas(paths: Iterable[Path], gap: str) -> Iterator[Record]:
    """Yield sentence, option1, option2 and answer of each schema, in the order of the files.

    Of several names that say the same, the first counts. Raises DataError for a row whose pronoun
    does not stand where it says.
    """
    asked: dict[tuple[str, int, str], dict[str, tuple[bool, str]]] = {}
    for path in paths:
        for record in read(path):
            text, at, pronoun, name, right = _row(record)
            names = asked.setdefault((text, at, pronoun), {})
            names.setdefault(name, (right, record.where))
    for (text, at, pronoun), names in asked.items():
        answers = [(name, right) for name, (right, _) in names.items()]
        two = _two(answers)
        if two is None or gap in text:
            continue
        values = {
            "sentence": text[:at] + gap + text[at + len(pronoun) :],
            "option1": two[0][0],
            "option2": two[1][0],
            "answer": 1 if two[0][1] else 2,
        }
        yield Record(next(iter(names.values()))[1], values)


def _two(answers: list[tuple[str, bool]]) -> list[tuple[str, bool]] | None:
    """Return the first right and the first wrong name in the order they came, where both are."""
    chosen = [next((one for one in answers if one[1] is right), None) for right in (True, False)]
    both = [one for one in chosen if one is not None]
    return sorted(both, key=answers.index) if len(both) == 2 else None


def _row(record: Record) -> tuple[str, int, str, str, bool]:
    target: Any = record.value("target")
    label = record.value("label")
    try:
        at, pronoun, name = target["span2_index"], target["span2_text"], target["span1_text"]
        text, right = str(record.value("text")), ANSWERS[label]
    except (KeyError, TypeError):
        raise DataError(f"{record.where}: this is no row of CLUEWSC", MEND) from None
    if text[at : at + len(pronoun)] != pronoun:
        raise DataError(f"{record.where}: {pronoun} does not stand at {at}", MEND)
    return text, at, pronoun, name, right
