"""The original of XWinograd (Tikhonov and Ryabinin 2021): tokens and spans in a TSV file."""

from __future__ import annotations

from typing import Any

import orjson

from bactrian.errors import DataError
from bactrian.evaluate.tasks.reading import MEND, Record

COLUMNS = ("language", "subset", "note", "sentence", "tokens", "pronoun", "candidates")
"""The file has no header."""
QUOTES = {"``": '"', "''": '"'}
"""What the English tokenizer made of quotation marks."""


def gapped(record: Record, gap: str) -> Record:
    """Return sentence, option1, option2 and answer: the pronoun is the gap.

    Raises DataError where the tokens are not those of the sentence, or where there are not two
    candidates with one right among them.
    """
    sentence = record.value("sentence")
    tokens, pronoun, candidates = (_json(record, key) for key in COLUMNS[4:])
    right = [bool(candidate[3]) for candidate in candidates]
    if len(candidates) != 2 or right.count(True) != 1:
        raise DataError(f"{record.where}: not two candidates with one right", MEND)
    first, last = pronoun[1]
    spans = _spans(sentence, tokens)
    if len(spans) < last or first >= last:
        raise DataError(f"{record.where}: the tokens are not those of the sentence", MEND)
    start, end = spans[first][0], spans[last - 1][1]
    names = [str(candidate[0]) for candidate in candidates]
    values = {
        "sentence": sentence[:start] + gap + sentence[end:],
        "option1": names[0],
        "option2": names[1],
        "answer": right.index(True) + 1,
    }
    return Record(record.where, values)


def _spans(sentence: str, tokens: list[str]) -> list[tuple[int, int]]:
    """Return where each token stands, as far as they are found one after another."""
    spans, place = [], 0
    for told in tokens:
        token = told if sentence.find(told, place) >= 0 else QUOTES.get(told, told)
        start = sentence.find(token, place)
        if start < 0:
            break
        place = start + len(token)
        spans.append((start, place))
    return spans


def _json(record: Record, key: str) -> Any:
    try:
        return orjson.loads(record.value(key))
    except orjson.JSONDecodeError as error:
        raise DataError(f"{record.where}: {key} is no JSON: {error.msg}", MEND) from None
